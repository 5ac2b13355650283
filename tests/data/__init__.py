"""Generators of small data in the real layouts."""
