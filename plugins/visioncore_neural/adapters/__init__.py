"""Adapters: one module per recording, before the shared core."""
