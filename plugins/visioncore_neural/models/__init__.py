"""Models of neural recordings."""
