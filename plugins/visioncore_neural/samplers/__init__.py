"""Samplers of windows: pure functions of (seed, position); none of them knows about processes."""
