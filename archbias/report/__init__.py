"""A run as one page: `write(run, study)` makes RUN/report.html."""

from .drawing import drawn
from .page import findings, page, write

__all__ = ["drawn", "findings", "page", "write"]
