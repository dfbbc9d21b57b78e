"""Names in the tables of the evaluators, apart from what computes them: reading a table needs no torch."""

from __future__ import annotations

__all__ = [
    "DEPTH",
    "INTERVALS",
    "LAYER_4",
    "REPEAT_SCORES",
    "RESCALED",
    "SCORES",
    "TAKEN",
    "TRUTH_COLUMNS",
    "UNIT_COLUMNS",
    "WAVEFORM",
]

REPEAT_SCORES = ("correlation_to_average", "feve", "oracle", "cc_norm")
"""Scores against repeats of a clip; NaN where nothing is repeated."""

SCORES = ("bits_per_spike", "single_trial_correlation", *REPEAT_SCORES)
"""Metrics with a column each in the table ``units``; NaN for a unit that cannot be scored."""

UNIT_COLUMNS = ("session", "subject", "unit", *SCORES, "spikes", "mean_rate_hz", "num_valid")
"""Columns of the table ``units``."""

INTERVALS = ("bits_per_spike", "single_trial_correlation")
"""Scores that may have an interval: columns ``<score>_low`` and ``<score>_high``."""

RESCALED = "bits_per_spike_rescaled"
"""Bits per spike of the rates after a gain and an offset for each unit, fitted on other frames."""

DEPTH = "depth"
"""Column of a table of units by which they are drawn from the surface downwards."""

LAYER_4 = ("layer_4_low", "layer_4_high")
"""Columns of the bounds of layer 4, in the unit of `DEPTH`."""

WAVEFORM = ("waveform_amplitude", "trough_to_peak")
"""Columns that waveforms make."""

TAKEN = (
    *("split", *UNIT_COLUMNS, *LAYER_4, *WAVEFORM, RESCALED),
    *(f"{name}_{end}" for name in INTERVALS for end in ("low", "high")),
)
"""What a column of a user's table may not be called."""

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
