"""What a trained model has learned, and how its predictions compare: arrays for figures and tables."""
