"""Evaluators of units: tables and figures from a trained model."""
