"""Optimizers, schedulers, regularizers, generic data sets, callbacks and loggers."""
