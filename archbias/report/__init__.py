"""A run as one page: `write(run, study)` makes RUN/report.html."""

from .page import findings, page, write

__all__ = ["findings", "page", "write"]
