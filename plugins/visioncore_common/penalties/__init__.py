"""Penalties and steps on the shape of weights."""
