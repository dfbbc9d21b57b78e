"""Readouts: one head per recording, features to units."""
