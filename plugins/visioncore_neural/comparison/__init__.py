"""Runs against each other, unit by unit."""
