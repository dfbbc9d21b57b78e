"""Data sets of labelled examples: arrays on disk, shapes rendered in memory."""
