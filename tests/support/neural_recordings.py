"""Small recordings, and datasets of them, as a run would open them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from visioncore_engine import choose
from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.contracts import DatasetFacts
from visioncore_engine.options import Choice
from visioncore_neural._data_components import COMPONENTS
from visioncore_neural.data.dataset import RecordingsDataset
from visioncore_neural.data.sessions import Sessions
from visioncore_neural.options.dataset import RecordingsOptions, SessionsOptions
from visioncore_neural.recording import Recording

__all__ = ["choice", "dataset", "make", "real_data", "sessions"]


def choice(kind: str, name: str, /, **options: Any) -> Choice:
    """Block of a run file, its options validated as YAML is."""
    component = next(component for component in COMPONENTS[kind] if component.name == name)
    model = resolve_address(component.options or KINDS[kind].options)
    return choose(kind, component, model.model_validate_json(json.dumps(options)))


def make(name: str = "m1_a", /, *, frames: int = 240, num_units: int = 3, seed: int = 0, **changes: Any) -> Recording:
    """Recording of `frames` frames in trials of 40, with every optional array; `changes` replace arrays or fields."""
    rng = np.random.default_rng([seed, *name.encode()])
    trial = np.arange(frames) // 40
    fields: dict[str, Any] = {
        "name": name,
        "subject": name.split("_", maxsplit=1)[0],
        "dt": 0.01,
        "stim": rng.integers(0, 256, (frames, 1, 4, 5), dtype=np.uint8),
        "robs": rng.poisson(1.0, (frames, num_units)).astype(np.uint8),
        "valid": rng.random(frames) > 0.2,
        "trial": trial.astype(np.int32),
        "units": tuple(f"u{i}" for i in range(num_units)),
        "split": np.array([0, 0, 0, 1, 2, 0])[trial % 6].astype(np.int8),
        "behavior": rng.standard_normal((frames, 2)).astype(np.float32),
        "behavior_names": ("running", "pupil"),
        "eyepos": rng.standard_normal((frames, 2)).astype(np.float32),
    }
    return Recording(**{**fields, **changes})


def dataset(*recordings: Recording, state: Any = None, **options: Any) -> RecordingsDataset:
    """Dataset of recordings in memory."""
    prepare = options.pop("prepare", ())
    parsed = RecordingsOptions.model_validate_json(json.dumps(options)).model_copy(update={"prepare": tuple(prepare)})
    return RecordingsDataset(recordings, parsed, DatasetFacts(seed=0, state=state))


def sessions(root: Path, *, reader: Choice | None = None, **options: Any) -> Sessions:
    """Dataset of recordings on disk."""
    built = SessionsOptions(
        root=str(root),
        reader=reader or choice("reader", "folder"),
        **{key: tuple(value) if isinstance(value, list) else value for key, value in options.items()},
    )
    return Sessions(built, DatasetFacts(seed=0))


def real_data() -> Path:
    """Folder of the real recordings: $VISIONCORE_DATA, else ``shared/data`` beside the checkout; skips where absent."""
    folder = Path(os.environ.get("VISIONCORE_DATA") or Path(__file__).parents[3] / "shared" / "data")
    if not (folder / "rat_rgc_bars").is_dir():
        pytest.skip(f"no real recordings in {folder}; set VISIONCORE_DATA")
    return folder
