"""Neural recordings: sessions, simulated data, encoder, Poisson loss, neural metrics."""
