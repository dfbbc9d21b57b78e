"""Names in the tables of the evaluators, apart from what computes them: reading a table needs no torch."""

from __future__ import annotations

__all__ = ["SCORES", "TRUTH_COLUMNS", "UNIT_COLUMNS"]

SCORES = ("bits_per_spike", "single_trial_correlation", "correlation_to_average")
"""Metrics with a column each in the table ``units``; NaN for a unit that cannot be scored."""

UNIT_COLUMNS = ("session", "subject", "unit", *SCORES, "spikes", "mean_rate_hz", "num_valid")
"""Columns of the table ``units``."""

TRUTH_COLUMNS = (
    "session",
    "subject",
    "unit",
    "kind",
    "true_row",
    "true_column",
    "row",
    "column",
    "error",
    "correlation",
    "true_correlation",
    "ratio",
)
"""Columns of the table ``ground_truth``: centres and error in pixels."""
