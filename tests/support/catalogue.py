"""The catalogue of errors: each entry is typed, and the page is written from what is said. Run it to write the page."""

from __future__ import annotations

import contextlib
import inspect
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from forked import forked

from visioncore_engine import errors
from visioncore_engine.cli import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "errors.md"

SMALL = """seed: 1
data: {name: rendered_shapes, num_train: 64, num_validation: 16, num_test: 16, size: 12}
sampler: {name: shuffled, batch_size: 32}
model: {name: cnn, channels: [4]}
loss: cross_entropy
metrics: [accuracy]
optimizer: adamw
checkpoint: {monitor: val/accuracy, mode: max}
trainer: {max_epochs: 1}
"""
DECLARED = "from visioncore_engine import Component, hookimpl\n\n\n@hookimpl\n"


@dataclass(frozen=True)
class Entry:
    """One message: what is typed, which files it meets, and what to do about it."""

    error: type[errors.EngineError]
    title: str
    command: str
    todo: str
    files: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()  # commands that go well before it

    @property
    def id(self) -> str:
        return self.title.lower().replace(" ", "-").replace("`", "")


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    text: str


def run(entry: Entry) -> Said:
    """Type the command of an entry in a fresh folder."""
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name), environment(name):
        folder = Path(name).resolve()
        shutil.copytree(ROOT / "configs", "configs")
        Path("small.yaml").write_text(SMALL, encoding="utf-8")
        for path, text in entry.files.items():
            place = Path(path)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")
        for command in entry.before:
            assert type_in(command).code == 0, command
        said = type_apart(entry.command) if entry.error is errors.Hung else type_in(entry.command)
        return Said(said.code, said.text.replace(f"{folder}/", ""))


@contextlib.contextmanager
def environment(folder: str) -> Iterator[None]:
    """The environment of somebody who has set nothing, and has installed what lies in the folder."""
    data = os.environ.pop("VISIONCORE_DATA", None)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if data is not None:
            os.environ["VISIONCORE_DATA"] = data


def type_in(command: str) -> Said:
    """Run a command line in this process; with what it says on standard error, without warnings and tracebacks."""
    program, *words = shlex.split(command)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), forgotten():
        code = main(words) if program == "visioncore" else truncate(*words)
    return Said(code, err.getvalue().splitlines()[-1] if code else "") if traceback(err) else Said(code, err.getvalue())


def traceback(err: io.StringIO) -> bool:
    return err.getvalue().startswith("Traceback")


def type_apart(command: str) -> Said:
    """Run a command line in a child: it will be ended. Only the first line is the same each time."""
    with tempfile.TemporaryDirectory() as folder:
        done = forked(lambda: main(shlex.split(command)[1:]), folder)
    (line,) = [line for line in done.err.splitlines() if line.startswith("hang: ")]
    return Said(done.code, re.sub(r"for \d+ s", "for 5 s", line) + "\n")


def truncate(size: str, path: str) -> int:
    os.truncate(path, int(size.removeprefix("--size=")))
    return 0


@contextlib.contextmanager
def forgotten() -> Iterator[None]:
    """Forget afterwards what a command has imported from its folder, and what that has changed."""
    before = set(sys.modules)
    torch = sys.modules.get("torch")
    dtype = torch.get_default_dtype() if torch else None
    try:
        yield
    finally:
        if torch is not None:
            torch.set_default_dtype(dtype)  # one of the plugins changes it
        for name in set(sys.modules) - before:
            if not (getattr(sys.modules[name], "__file__", None) or "/").startswith(sys.prefix):
                source = getattr(sys.modules[name], "__file__", None) or ""
                if source and not Path(source).is_relative_to(ROOT):
                    del sys.modules[name]


CALLBACK = """import os
import signal
import time

import pytorch_lightning as pl

from visioncore_engine import Component, hookimpl


@hookimpl
def visioncore_callbacks():
    yield Component(name="unruly", summary="{summary}", build=":Unruly")


class Unruly(pl.Callback):
    def __init__(self, options, facts):
        super().__init__()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        {line}
"""


def callback(summary: str, line: str, imports: str = "") -> dict[str, str]:
    text = CALLBACK.format(summary=summary, line=line)
    return {"lab.py": text.replace("import pytorch_lightning as pl\n", f"import pytorch_lightning as pl\n{imports}\n")}


COMMAND = """from visioncore_engine import hookimpl
from visioncore_engine.component import Command


@hookimpl
def visioncore_commands():
    yield Command(name="greet", summary="says hello", build=":greet")


def greet(parser):
    return lambda arguments: 1 // 0
"""


C, P, D, K, U = errors.ConfigError, errors.PluginError, errors.DataError, errors.CheckpointError, errors.UsageError
R, S = errors.RunError, errors.StorageError
CHECK = "visioncore check configs/demo.yaml"
TRAIN = "visioncore train small.yaml --quiet --set run.dir=run"
UNRULY = f"{TRAIN} --plugin lab.py --set callbacks=[unruly]"
LAST = "run/checkpoints/last.ckpt"

ENTRIES = (
    Entry(C, "An unknown key", f"{CHECK} --set optimizer.lrr=1", "Write one of the keys that are allowed."),
    Entry(
        C, "A value of another type", f"{CHECK} --set optimizer.lr=fast", "`visioncore show` says what an option takes."
    ),
    Entry(C, "A value out of bounds", f"{CHECK} --set optimizer.lr=-1", "Stay within the bounds that are named."),
    Entry(
        C,
        "A key twice",
        "visioncore check run.yaml",
        "Delete one of the two: which of them was meant cannot be known.",
        files={"run.yaml": SMALL + "seed: 2\n"},
    ),
    Entry(
        C,
        "A file that is no YAML",
        "visioncore check run.yaml",
        "Look at the line, and at the one before it: often a bracket or a quote is open.",
        files={"run.yaml": SMALL.replace("[4]}", "[4}")},
    ),
    Entry(C, "A number that looks octal", f"{CHECK} --set seed=010", "YAML 1.1 reads it as 8: write what you mean."),
    Entry(
        C,
        "A tab",
        "visioncore check run.yaml",
        "Indent by spaces.",
        files={"run.yaml": SMALL.replace("seed: 1", "\tseed: 1")},
    ),
    Entry(C, "A required key that is missing", f"{CHECK} --set loss=null", "Write the key; every run needs it."),
    Entry(C, "A file that is not there", "visioncore check demo.yml", "Paths are relative to the folder you are in."),
    Entry(
        C,
        "An interpolation without a value",
        f"{CHECK} --set 'optimizer.lr=${{optimiser.lr}}'",
        "Write the dotted key of a value in the same run; `$$` is a plain dollar sign.",
    ),
    Entry(
        C,
        "An argument that the engine owns",
        f"{CHECK} --set trainer.gradient_clip_val=1",
        "Write the key that stands in its place.",
    ),
    Entry(
        C,
        "A monitor that nothing logs",
        f"{CHECK} --set checkpoint.monitor=val/accuracy",
        "Monitor a value of one of the run's metrics, or add the metric.",
    ),
    Entry(
        C,
        "A pattern that matches no parameter",
        f"{CHECK} --build --set 'regularizers.sparse.match=readout.*'",
        "Write the full dotted name, with `*` for any part of it.",
    ),
    Entry(C, "A word that is no setting", f"{CHECK} --set optimizer", "Write `--set key=value`."),
    Entry(
        C,
        "A run in which nothing could be chosen",
        f"{TRAIN} --set trainer.check_val_every_n_epoch=5",
        "Let the run validate at least once, or train longer.",
    ),
    Entry(
        C,
        "A launcher that nobody called",
        f"{TRAIN} --set launch=torchrun",
        "Start the processes with the launcher that the run names, or leave `launch` out.",
    ),
    Entry(
        C,
        "A run folder that is in use",
        TRAIN,
        "Go on with `--resume`, or choose another `run.dir`. Nothing is ever overwritten.",
        before=(TRAIN,),
    ),
    Entry(C, "Nothing to resume", f"{TRAIN} --resume", "Train without `--resume`, or name the folder of the run."),
    Entry(
        C,
        "A run that is another one now",
        f"{TRAIN} --resume --set optimizer.lr=0.1",
        "Take the change back, allow it by name, or begin a new run.",
        before=(TRAIN,),
    ),
    Entry(
        C,
        "A part that does not fit the data",
        "visioncore check small.yaml --build --set data=synthetic_v1 --set checkpoint.monitor=val/loss",
        "Choose a model, a loss and metrics for the kind of data that the run has.",
    ),
    Entry(P, "No component of that name", f"{CHECK} --set model.readout=gausian", "Write a name that is installed."),
    Entry(P, "No kind of that name", "visioncore show samplers", "Write the kind in the singular."),
    Entry(
        P,
        "A name that two plugins offer",
        "visioncore check small.yaml --plugin lab.py",
        "Say which one: `plugin:name`.",
        files={
            "lab.py": DECLARED + "def visioncore_samplers():\n"
            '    yield Component(name="shuffled", summary="ours", build=":Ours")\n'
        },
    ),
    Entry(
        P,
        "A plugin that cannot be imported",
        "visioncore check small.yaml --plugin lab.py --set sampler=bursts",
        "Mend the plugin, or install what it needs. `visioncore plugins` lists broken plugins with their reasons.",
        files={"lab.py": "import no_such_package\n"},
    ),
    Entry(
        P,
        "A hook that does not exist",
        "visioncore check small.yaml --plugin lab.py --set sampler=bursts",
        "Spell the hook as in `visioncore_engine/hookspecs.py`.",
        files={
            "lab.py": DECLARED + "def visioncore_smaplers():\n"
            '    yield Component(name="bursts", summary="ours", build=":Ours")\n'
        },
    ),
    Entry(
        P,
        "Another version of the contract",
        "visioncore check small.yaml --plugin lab.py --set sampler=bursts",
        "Install a release of the plugin that is written for this engine, or the other way round.",
        files={
            "lab.py": DECLARED + "def visioncore_samplers():\n"
            '    yield Component(name="bursts", summary="ours", build=":Ours", version=99)\n'
        },
    ),
    Entry(
        P,
        "A builder that is not there",
        "visioncore check small.yaml --build --plugin lab.py --set sampler=bursts",
        "Mend the address in the declaration: `module:name`, or `:name` for the file itself.",
        files={
            "lab.py": DECLARED + "def visioncore_samplers():\n"
            '    yield Component(name="bursts", summary="ours", build=":Bursts")\n'
        },
    ),
    Entry(
        P,
        "A plugin that changes torch for everybody",
        "visioncore check small.yaml --build --plugin lab.py --set sampler=bursts",
        "Let the builder do it, where it must be done at all: a run may not depend on what was imported before.",
        files={
            "lab.py": DECLARED + "def visioncore_samplers():\n"
            '    yield Component(name="bursts", summary="ours", build="parts:Bursts")\n',
            "parts.py": "import torch\n\ntorch.set_default_dtype(torch.float64)\n",
        },
    ),
    Entry(
        P,
        "A builder that breaks the contract",
        "visioncore check small.yaml --build --plugin lab.py --set sampler=bursts",
        "Give what it builds every method of the protocol: `visioncore show sampler`.",
        files={
            "lab.py": DECLARED + "def visioncore_samplers():\n"
            '    yield Component(name="bursts", summary="ours", build=":Bursts")\n\n\n'
            "def Bursts(options, facts):\n    return object()\n"
        },
    ),
    Entry(P, "A plugin file that is not there", "visioncore plugins --plugin lab.py", "Name the file with its folder."),
    Entry(P, "A plugin to block that is not there", "visioncore plugins --block commn", "Write a name from the list."),
    Entry(
        D,
        "Data without a folder",
        f"{CHECK} --set data.name=sessions",
        "Say where the recordings are, by option or by environment variable.",
    ),
    Entry(
        D,
        "Recordings that are not there",
        f"{CHECK} --set data.name=sessions --set data.root=recordings",
        "Look at `data.root` and `data.sessions`; `visioncore data check` looks at a folder.",
        files={"recordings/notes.txt": "none yet"},
    ),
    Entry(
        D,
        "A file that is damaged",
        "visioncore check small.yaml --set data.name=arrays --set data.root=. --set data.files=some.npz",
        "Make the file again: it is cut short, or no archive of plain arrays. Python objects are never loaded.",
        files={"some.npz": "not an archive"},
    ),
    Entry(K, "A checkpoint that is not there", f"visioncore checkpoint inspect {LAST}", "Name a file that exists."),
    Entry(
        K,
        "A checkpoint that is cut short",
        f"visioncore checkpoint inspect {LAST}",
        "Take the one before it. `--resume` without a name does so by itself.",
        before=(TRAIN, f"truncate --size=1000 {LAST}"),
    ),
    Entry(
        K,
        "A checkpoint that the run does not have",
        "visioncore evaluate run --checkpoint beste",
        "Write one of those that are there.",
        before=(TRAIN,),
    ),
    Entry(U, "No command of that name", "visioncore trian small.yaml", "`visioncore --help` lists the commands."),
    Entry(U, "An argument that is missing", "visioncore show", "`--help` after any command shows an example."),
    Entry(
        U,
        "A folder that is there already",
        "visioncore new-plugin sampler bursts",
        "Nothing is written over: choose another name or another `--dir`.",
        before=("visioncore new-plugin sampler bursts",),
    ),
    Entry(U, "A name that is no word", "visioncore new-plugin sampler My-Bursts", "Write the word that is proposed."),
    Entry(
        R,
        "A plugin that raises",
        UNRULY,
        "Tell the plugin's author; `--debug` shows the traceback. The last checkpoint stands.",
        files=callback("raises", 'raise ValueError("no such frame")'),
    ),
    Entry(
        R,
        "Memory that does not suffice",
        UNRULY,
        "Cut the batch into more micro-batches: what is learned stays the same.",
        files=callback("asks for much", 'raise torch.OutOfMemoryError("CUDA out of memory")', "import torch"),
    ),
    Entry(
        R,
        "Numbers that are not finite",
        f"{TRAIN} --set optimizer.lr=1e30",
        "Lower the rate, clip gradients, look at the data that are named, or choose `policies.non_finite: skip`.",
    ),
    Entry(
        S,
        "A place where nothing can be written",
        "visioncore train small.yaml --set run.dir=small.yaml/run",
        "Make room, or choose another `run.dir`; then go on with `--resume`: the last good checkpoint is whole.",
    ),
    Entry(
        errors.Hung,
        "A process that gives no sign of life",
        f"{UNRULY} --set policies.watchdog=1",
        "Look at the stacks. Work that rightly takes so long calls `facts.heartbeat()`, or the limit is raised.",
        files=callback("hangs", "time.sleep(600)"),
    ),
    Entry(
        errors.Stopped,
        "A run that was stopped",
        UNRULY,
        "Go on with `--resume`. SIGTERM, SIGINT and SIGUSR1 all save first.",
        files=callback("stops", "os.kill(os.getpid(), signal.SIGTERM)"),
    ),
    Entry(
        errors.EngineError,
        "A defect",
        "visioncore greet",
        "Report it with the traceback, which is shown unasked; here, an installed plugin has it.",
        files={
            "lab-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n",
            "lab-1.0.dist-info/entry_points.txt": "[visioncore_engine]\nlab = lab\n",
            "lab.py": COMMAND,
        },
    ),
)

INTRODUCTION = """<!-- Written by `make reference` from what is really said: change tests/support/catalogue.py. -->

# Errors

Every message says where, what was given, what is allowed and what to do. A mistake that you can mend shows no
traceback; `--debug` shows it all the same. All mistakes of a run file are told at once.

| exit code | what it means |
|---|---|
| 0 | done |
| 2 | a mistake that you can mend: run file, plugin, data, checkpoint or command line |
| 1 | a defect of the engine, or of a plugin's command |
| 70 | a process, a plugin or the numbers failed while training |
| 74 | nothing more can be written |
| 75 | the watchdog ended a process that gave no sign of life |
| 143 | ended by a signal, after saving |

The classes stand in `visioncore_engine.errors`; a plugin raises them too, made of `Problem(where=, key=, what=, given=,
todo=)`. Every example below is typed by a test. `configs/` is that of the repository, and `small.yaml` is:

```yaml
{small}```
"""
SECTIONS = {
    C: "Config errors",
    P: "Plugin errors",
    D: "Data errors",
    K: "Checkpoint errors",
    U: "Usage errors",
    R: "Failed runs",
    S: "Storage",
    errors.Hung: "Hangs",
    errors.Stopped: "Stopped runs",
    errors.EngineError: "Defects",
}


def block(entry: Entry, said: Said) -> str:
    """An entry as it stands on the page."""
    shown = [(path, text) for path, text in entry.files.items() if ".dist-info" not in path]
    files = "".join(f"```text\n# {path}\n{text.rstrip()}\n```\n\n" for path, text in shown)
    before = "".join(f"$ {command}\n" for command in entry.before)
    return (
        f"### {entry.title}\n\n{files}```text\n{before}$ {entry.command}\n{said.text.rstrip()}\n```\n\n{entry.todo}\n"
    )


def page() -> str:
    """Write the page from what is said now."""
    parts = [INTRODUCTION.format(small=SMALL)]
    for error, title in SECTIONS.items():
        meaning = inspect.getdoc(error) or ""
        parts.append(
            f"## {title}\n\n`{error.__name__}`, exit code {error.exit_code}. {meaning.partition(chr(10))[0]}\n"
        )
        parts += [block(entry, run(entry)) for entry in ENTRIES if entry.error is error]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
