"""Denoisers fitted in closed form."""
