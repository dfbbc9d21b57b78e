"""What a user may write, one module per kind. Torch-free."""
