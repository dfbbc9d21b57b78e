"""Checkpoints of VisionCore: read without running anything, their tensors by part and session."""
