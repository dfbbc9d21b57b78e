"""The import contracts of pyproject.toml hold, and each of them fails when it is broken on purpose."""

from __future__ import annotations

import shutil
import tomllib

import pytest

pytestmark = pytest.mark.usefixtures("needs_plugins")

PUBLIC = {
    "component",
    "contracts",
    "data",
    "errors",
    "hookspecs",
    "importing",
    "launch",
    "listing",
    "options",
    "report",
    "schedule",
    "testing",
}
LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename="pyproject.toml", no_cache=True, limit_to_contracts=tuple(sys.argv[1:])))
"""
CONTRACTS = ("layers", "torch-free-engine", "torch-free-plugins", "no-privilege", "public-api", "families")

# Contract, file, and what is written at its end.
VIOLATIONS = [
    pytest.param("layers", "visioncore_engine/errors.py", "import visioncore_engine.options", id="upward"),
    pytest.param("layers", "visioncore_engine/stray.py", "", id="file-without-a-place"),
    pytest.param(
        "layers", "visioncore_engine/schedule.py", "from visioncore_engine.component import KINDS", id="sideways"
    ),
    pytest.param("torch-free-engine", "visioncore_engine/component.py", "import torch", id="torch"),
    pytest.param(
        "torch-free-engine", "visioncore_engine/schedule.py", "def f():\n    import numpy", id="numpy-in-function"
    ),
    pytest.param(
        "torch-free-engine", "visioncore_engine/options.py", "import visioncore_engine.contracts", id="indirect"
    ),
    pytest.param("torch-free-plugins", "plugins/visioncore_common/__init__.py", "import torch", id="declaration"),
    pytest.param("torch-free-plugins", "plugins/visioncore_neural/options/stray.py", "import numpy", id="options"),
    pytest.param(
        "torch-free-plugins",
        "plugins/visioncore_neural/__init__.py",
        "import visioncore_engine.contracts",
        id="through",
    ),
    pytest.param("no-privilege", "visioncore_engine/run.py", "import visioncore_common", id="engine-to-plugin"),
    pytest.param("no-privilege", "visioncore_engine/run.py", "import example_lab", id="engine-to-stranger"),
    pytest.param("public-api", "plugins/visioncore_common/stray.py", "import visioncore_engine.build", id="private"),
    pytest.param(
        "public-api", "plugins/visioncore_neural/stray.py", "import visioncore_engine.data.loader", id="private-part"
    ),
    pytest.param("families", "plugins/visioncore_common/stray.py", "import visioncore_neural", id="common-to-neural"),
]


@pytest.fixture(scope="module")
def configuration(root):
    return tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]


@pytest.fixture
def copy(root, tmp_path):
    for package in ("visioncore_engine", "plugins/visioncore_common", "plugins/visioncore_neural"):
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(root / "pyproject.toml", tmp_path)
    return tmp_path


def lint(python, folder, *contracts):
    return python(LINT, *contracts, path=(folder, folder / "plugins"), cwd=folder)


def test_every_contract_holds(root, python):
    done = lint(python, root)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in done.stdout


@pytest.mark.parametrize(("contract", "file", "line"), VIOLATIONS)
def test_a_violation_breaks_its_contract(copy, python, contract, file, line):
    path = copy / file
    before = path.read_text() if path.exists() else ""
    path.write_text(f"{before}\n{line}\n")
    done = lint(python, copy, contract)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "0 kept, 1 broken" in done.stdout


def test_every_contract_has_a_violation(configuration):
    assert [entry["id"] for entry in configuration["contracts"]] == list(CONTRACTS)
    assert {violation.values[0] for violation in VIOLATIONS} == set(CONTRACTS)


def test_what_is_not_public_is_forbidden_to_plugins(configuration, modules):
    (contract,) = [entry for entry in configuration["contracts"] if entry["id"] == "public-api"]
    forbidden = {name.split(".")[1] for name in contract["forbidden_modules"] if not name.endswith(".*")}
    children = {name.split(".")[1] for name in modules if name.startswith("visioncore_engine.")}
    assert forbidden == children - PUBLIC


def test_every_torch_free_file_is_under_the_torch_line(configuration, modules):
    """The torch-free contract names exactly what lies below `contracts` among the layers."""
    contracts = {contract["id"]: contract for contract in configuration["contracts"]}
    layers, free = contracts["layers"], contracts["torch-free-engine"]
    order = [[part.strip().strip("()") for part in layer.split("|")] for layer in layers["layers"]]
    below = {name for layer in order[order.index(["contracts"]) + 1 :] for name in layer}
    exists = {name.split(".")[1] for name in modules if name.startswith("visioncore_engine.")}
    assert {name.split(".")[1] for name in free["source_modules"]} == below & exists


def test_the_example_package_keeps_the_contracts_of_plugins(root, python, configuration, tmp_path):
    (contract,) = [entry for entry in configuration["contracts"] if entry["id"] == "public-api"]
    forbidden = "\n    ".join(contract["forbidden_modules"])
    (tmp_path / ".importlinter").write_text(
        f"""[importlinter]
root_packages =
    visioncore_engine
    example_lab
include_external_packages = True
exclude_type_checking_imports = True

[importlinter:contract:public-api]
name = public
type = forbidden
source_modules = example_lab
forbidden_modules =
    {forbidden}
allow_indirect_imports = True

[importlinter:contract:torch-free-plugins]
name = torch-free
type = forbidden
as_packages = False
source_modules =
    example_lab
    example_lab.options
forbidden_modules =
    torch
    numpy
"""
    )
    code = LINT.replace("pyproject.toml", ".importlinter")
    done = python(code, path=(root, root / "plugins" / "example-lab" / "src"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 kept, 0 broken" in done.stdout
