"""Stages of the shared core: frontends, convolutions, recurrent layers. All are causal in time."""
