"""Images to fit denoisers to."""

from .images import ImageSet

__all__ = ["ImageSet"]
