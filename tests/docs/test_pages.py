"""Every command, run file and snippet of the documentation is true.

A block's info string may say more than its language: ``yaml overlay`` is laid over the demo, ``yaml wrong`` and
``console fails`` must be refused as a user's mistake; ``yaml sweep`` is a sweep file; ``yaml plugged`` names plugins
that the page has its reader write, and is trained with them by the slow test. A comment before a block may say
that it is a copy of a file (``<!-- file: PATH -->``), a part of one (``<!-- part of: PATH -->``), or what a reader
writes into one (``<!-- write: PATH -->``).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pages import SHELLS, Block, read
from reader import Reader

from visioncore_engine import resolve
from visioncore_engine.config.document import read as read_yaml
from visioncore_engine.config.node import plain
from visioncore_engine.errors import ConfigError
from visioncore_engine.sweep.options import SweepOptions

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
QUICK = ("check", "explain", "plugins", "schema", "show", "train")  # `train` is checked here, and run by the slow test
# Pages whose commands are carried out in order.
TRIED = ("README.md", "docs/data.md", "docs/clusters.md", "docs/in-silico.md", "docs/workflows.md")
TRIED_APART = ("docs/plugins.md", "docs/publishing.md")  # in a clean environment: test_tutorial, test_publishing
LONG = ("train", "sweep", "check")  # cut to two steps where they are carried out
SMALL = (  # for a sweep, whose runs take no overlay
    *("sampler.batches_per_epoch=2", "trainer.max_epochs=1", "trainer.check_val_every_n_epoch=1"),
    *("data.duration=120", "data.num_units=4", "scheduler.warmup_steps=1"),
)


BLOCKS = [block for page in PAGES for block in read(page)]


def params(*languages: str, marker: tuple[str, ...] = ("", "write")) -> list:
    chosen = [block for block in BLOCKS if block.language in languages and block.marker in marker]
    return [pytest.param(block, id=f"{block.page}:{block.line}") for block in chosen]


def commands() -> list:
    return [
        pytest.param(block, words, id=f"{block.page}:{block.line} {' '.join(words)}")
        for block in BLOCKS
        if block.language in SHELLS and block.page not in TRIED_APART
        for words in block.commands
    ]


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A folder with the installed example package; a namesake in it hides no installed engine."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    package = str(ROOT / "plugins" / "example-lab")
    subprocess.run([*pip, "--disable-pip-version-check", "--target", str(folder), package], check=True)
    return folder


@pytest.fixture
def reader(tmp_path, site):
    return Reader(tmp_path / "home", site)


@pytest.mark.parametrize("block", params("python", "yaml", "toml", marker=("file", "part of")))
def test_code_is_that_of_the_file(block):
    text = (ROOT / block.path).read_text(encoding="utf-8")
    if block.marker == "file":
        assert block.text == text, f"{block.page}:{block.line} is not {block.path}"
    else:
        assert block.text.rstrip("\n") in text, f"{block.page}:{block.line} is not part of {block.path}"


@pytest.mark.parametrize("block", params("yaml"))
def test_run_files_resolve(block, tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(block.text, encoding="utf-8")
    if "sweep" in block.words:
        assert SweepOptions.model_validate_json(json.dumps(plain(read_yaml(path, path.name))))
        return
    if "plugged" in block.words:
        assert block.page in TRIED
        assert "--plugin" in block_after(block), "no command of the page uses this run file"
        assert plain(read_yaml(path, path.name))
        return
    files = [path] if block.words == () else [ROOT / "configs" / "demo.yaml", path]
    if "wrong" in block.words:
        with pytest.raises(ConfigError) as error:
            resolve(files)
        assert all(problem.where for problem in error.value.problems)
    else:
        assert resolve(files).run.trainer


@pytest.mark.parametrize("block", params("python"))
def test_snippets_compile(block):
    compile(block.text, f"{block.page}:{block.line}", "exec")


@pytest.mark.parametrize("block", params("bash"))
def test_scripts_are_scripts(block):
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for line in block.text.splitlines():
        if " visioncore train " in line:
            words = shlex.split(line.partition(" visioncore train ")[2])
            assert resolve([ROOT / words[0]], sets=words[2::2]).run.launch


@pytest.mark.parametrize(("block", "words"), commands())
def test_commands_are_understood(block, words, reader):
    program, *arguments = words
    write(block.page, reader.home)
    if program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert arguments[0] in targets
    elif program in ("pip", "python"):
        files = [word for word in arguments if "/" in word or word.endswith((".txt", ".py"))]
        assert all((ROOT / file).exists() for file in files), words
    elif program == "visioncore" and arguments[0] in QUICK and "--plugin" not in arguments:  # a page writes it first
        if arguments[0] == "train":
            arguments = ["check", *(word for word in arguments[1:] if word != "--resume")]
        quick = ["--no-data"] if arguments[0] == "check" else []  # the slow test makes the data of the page
        done = reader.visioncore(*(word for word in arguments if word != "--build"), *quick)
        assert done.code == (2 if "fails" in block.words else 0), done
    elif program == "visioncore":
        done = reader.visioncore(*takewhile_command(arguments), "--help")
        assert done.code == 0, done
    elif program == "torchrun":
        done = reader.python(
            "import sys; from torch.distributed.run import parse_args; parse_args(sys.argv[1:])", *arguments
        )
        assert done.code == 0, done
        done = reader.visioncore("check", *arguments[arguments.index("visioncore") + 2 :], "--no-data")
        assert done.code == 0, done
    elif program == "sbatch":
        folder, script = arguments[0].rsplit("/", 1)
        assert script == "job.sh"
        assert f"--set launch=slurm --set run.dir={folder}\n" in block_before(block), "no command writes this script"
    elif program in ("scancel", "squeue"):
        assert all(word.startswith("--") for word in arguments)
        if shutil.which(program):  # tests/clusters talk to a real SLURM
            cluster = reader.home / "slurm.conf"  # without one, not even --help is answered
            cluster.write_text("ClusterName=docs\nSlurmctldHost=localhost\nNodeName=localhost\n")
            environment = {**os.environ, "SLURM_CONF": str(cluster)}
            told = subprocess.run([program, "--help"], env=environment, capture_output=True, text=True, check=True)
            options = re.findall(r"--[\w-]+", told.stdout)
            assert [word for word in arguments if word.partition("=")[0] not in options] == []
    else:
        pytest.fail(f"a page tells the reader to run {program!r}, and no test knows how")


def write(page: str, home: Path) -> None:
    """Write what the page tells its reader to write."""
    for block in BLOCKS:
        if block.page == page and block.marker == "write":
            (home / block.path).write_text(block.text, encoding="utf-8")


def block_before(block: Block) -> str:
    """What a page has told its reader to type, up to a block and with it."""
    return "".join(one.text for one in BLOCKS if one.page == block.page and one.line <= block.line)


def block_after(block: Block) -> str:
    """Commands with a run file that a page has its reader write, further down."""
    later = [one for one in BLOCKS if one.page == block.page and one.line > block.line and one.language in SHELLS]
    return " ".join(" ".join(words) for one in later for words in one.commands if block.path in words)


def takewhile_command(arguments: list[str]) -> list[str]:
    """The command and, for `data`, its second word."""
    return arguments[:2] if arguments[0] in ("checkpoint", "data") else arguments[:1]


def smaller(words: list[str], home: Path) -> list[str]:
    """The command, cut to two steps on short recordings by the overlays for tests, which change sizes only."""
    command, path, *others = words
    if command == "sweep":
        return [*words, *(word for value in (*SMALL, "evaluate=[units]") for word in ("--set", value))]
    if command not in LONG or (command == "check" and "--build" not in words):
        return words
    text = (home / path).read_text()
    simulated = not any(own in text for own in ("name: sessions", "data: clips"))
    overlays = [f"configs/overlays/{name}.yaml" for name in ("tiny", *["tiny-synthetic_v1"] * simulated)]
    sooner = ["--set", "scheduler.warmup_steps=1"] * simulated  # a rise must end before the two steps do
    return [command, path, *overlays, *others, *sooner]


@pytest.mark.slow
@pytest.mark.parametrize("page", TRIED)
def test_a_reader_gets_through_the_page(page, reader):
    """Writes, runs and executes everything of a page, in its order; trainings are cut to two steps."""
    for block in BLOCKS:
        if block.page != page or block.marker in ("file", "part of"):
            continue
        if block.marker == "write":
            (reader.home / block.path).write_text(block.text, encoding="utf-8")
        if block.language == "python" and block.marker == "":
            done = reader.python(block.text)
            assert done.code == 0, f"{page}:{block.line} {done}"
        for program, *arguments in block.commands if block.language in SHELLS else []:
            if program == "sbatch":
                assert (reader.home / arguments[0]).is_file(), f"{page}:{block.line}"
            if program == "visioncore":
                done = reader.visioncore(*smaller(arguments, reader.home))
                expected = 2 if "fails" in block.words else 0
                assert done.code == expected, f"{page}:{block.line} {arguments} {done}"


def test_links_lead_somewhere():
    link = re.compile(r"\]\((?!https?:)([^)#]+)")
    for page in [*PAGES, ROOT / "plugins" / "example-lab" / "README.md"]:
        for target in link.findall(page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_fits_on_its_screens():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 120
