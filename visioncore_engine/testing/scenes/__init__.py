"""What components of each kind meet in their checks: a module per kind, with `scene(case)`."""
