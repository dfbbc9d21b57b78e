"""Penalties and proximal steps on parameters and outputs."""
