"""What preparations share of which nothing is fitted."""

from __future__ import annotations

from typing import Any

import numpy as np

from visioncore_neural.recording import Recording

__all__ = ["Unfitted"]


class Unfitted:
    """Preparation whose options say everything."""

    def fit(self, recording: Recording, train: np.ndarray) -> dict[str, Any]:
        """Fit nothing."""
        del recording, train
        return {}
