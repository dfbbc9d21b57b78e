"""Modulators: features changed by side inputs."""
