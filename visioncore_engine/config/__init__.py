"""From run files to a typed run: strict YAML, composition, names looked up, options checked, every mistake named.

`resolve` is the way in. Nothing here imports torch.
"""

from __future__ import annotations

from visioncore_engine.config.resolve import resolve, resolve_mapping, resolve_part
from visioncore_engine.config.resolved import Resolved
from visioncore_engine.config.run import RunConfig

__all__ = ["Resolved", "RunConfig", "resolve", "resolve_mapping", "resolve_part"]
