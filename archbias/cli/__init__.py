"""The command line."""

from .main import changes_of, main, parser

__all__ = ["changes_of", "main", "parser"]
