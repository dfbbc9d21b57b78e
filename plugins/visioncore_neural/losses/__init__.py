"""Losses on the responses of units."""
