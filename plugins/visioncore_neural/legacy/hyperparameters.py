"""The model file that a VisionCore checkpoint keeps in its hyper-parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from visioncore_neural.legacy.reader import Placeholder

__all__ = ["model_file_of", "plain"]


def plain(value: Any) -> Any:
    """Mappings and lists out of what the reader made of Python objects: a namespace becomes a mapping."""
    if isinstance(value, Placeholder):
        pairs = [item for item in value.items if isinstance(item, tuple)]
        if pairs:
            return {str(key): plain(item) for key, item in pairs}
        if isinstance(value.state, Mapping):
            return plain(value.state)
        return [plain(item) for item in value.items] if value.items else value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def model_file_of(payload: Any) -> Mapping[str, Any] | None:
    """Content of the model file that a checkpoint keeps in its hyper-parameters; None where it keeps none."""
    kept = plain(payload.get("hyper_parameters")) if isinstance(payload, Mapping) else None
    found = kept.get("model_config_dict") if isinstance(kept, Mapping) else None
    return found if isinstance(found, Mapping) and found else None
