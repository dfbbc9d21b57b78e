"""`docs/publishing.md`: its commands are carried out in a clean environment, and what it quotes is generated."""

from __future__ import annotations

import re
import tarfile
import zipfile

import pytest
from clean import CHECKOUT, Budget, Clean, build_wheel
from pages import SHELLS, read

BLOCKS = read(CHECKOUT / "docs" / "publishing.md")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_package_is_built_and_checked_as_the_page_says(tmp_path):
    clean, budget = Clean.make(tmp_path, build_wheel(CHECKOUT)), Budget(240)
    for words in (words for block in BLOCKS if block.language in SHELLS for words in block.commands):
        clean.run(words, seconds=budget.left)
    package = clean.home / "mix-stage"
    (wheel,), (sources,) = (list((package / "dist").glob(pattern)) for pattern in ("*.whl", "*.tar.gz"))
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        licence = next(name for name in archive.namelist() if name.endswith("LICENSE"))
        assert archive.read(licence).startswith(b"BSD 3-Clause")
    assert names == {f"mix_stage/{name}" for name in ("__init__.py", "options.py", "py.typed", "stage.py")}
    with tarfile.open(sources) as archive:
        assert any(name.endswith("tests/test_mix.py") for name in archive.getnames())
    (quoted,) = [block.text for block in BLOCKS if block.language == "toml"]
    assert quoted in (package / "pyproject.toml").read_text()
    clean.run(["python", "-X", "importtime", "-c", "import mix_stage"], seconds=budget.left)
    light = "import sys; sys.modules.update(torch=None, numpy=None, pydantic=None); import mix_stage"
    clean.run(["python", "-c", light], seconds=budget.left)


def test_the_public_api_is_the_one_that_is_enforced():
    page = (CHECKOUT / "docs" / "publishing.md").read_text(encoding="utf-8")
    project = (CHECKOUT / "pyproject.toml").read_text(encoding="utf-8")
    (written,) = re.findall(r"public API: the top level, (.*?)\. Everything", page, re.DOTALL)
    (enforced,) = re.findall(r"is public: the top level, (.*?)\.\n", project, re.DOTALL)
    assert set(re.findall(r"`(\w+)`", written)) == set(re.findall(r"\w+", enforced))
    packages = (CHECKOUT / "visioncore_engine").iterdir()
    modules = {path.stem for path in packages if path.suffix == ".py" or (path / "__init__.py").exists()}
    forbidden = set(re.findall(r'"visioncore_engine\.(\w+)"', project.partition('id = "public-api"')[2]))
    assert modules - {"__init__"} == set(re.findall(r"\w+", enforced)) | forbidden
