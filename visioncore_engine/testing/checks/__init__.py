"""The laws: a module per kind, and `every` for all kinds."""
