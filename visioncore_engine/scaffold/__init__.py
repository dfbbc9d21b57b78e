"""New plugins from templates: a package with everything around it, or a single file. Torch-free and offline."""

from __future__ import annotations

from visioncore_engine.scaffold.names import Names
from visioncore_engine.scaffold.package import LICENSES, package_files
from visioncore_engine.scaffold.single import single_file

__all__ = ["LICENSES", "Names", "package_files", "single_file"]
