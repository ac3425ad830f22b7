"""Denoisers fitted by gradient descent."""
