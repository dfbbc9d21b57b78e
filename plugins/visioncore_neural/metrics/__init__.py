"""Metrics of units, with float64 statistics that add up over batches and processes."""
