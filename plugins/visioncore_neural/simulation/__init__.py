"""Recordings whose receptive fields, delays and rates are known, for demonstrations and tests."""
