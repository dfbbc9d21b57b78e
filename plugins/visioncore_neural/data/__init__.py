"""Sessions on disk and in memory: format, readers, checks, splits, windows, sources."""
