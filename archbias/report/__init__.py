"""A run as one page: `write(run, study)` makes RUN/report.html."""

from .page import page, write

__all__ = ["page", "write"]
