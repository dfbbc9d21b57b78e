"""Fake plugins: in process, and as distributions on disk. None of the engine's tests needs an installed plugin."""

from __future__ import annotations

import importlib
import sys
import textwrap
import types
from types import SimpleNamespace
from typing import Annotated

import importlib_metadata
import pytest
from pydantic import Field, model_validator

from visioncore_engine import Component, discover, hookimpl
from visioncore_engine.component import KINDS
from visioncore_engine.hookspecs import ENTRY_POINT_GROUP
from visioncore_engine.options import Choice, Options, SamplerOptions, Slot
from visioncore_engine.schedule import Scheduled

HOME = "fake_home"


class DataOptions(Options):
    root: str = Field("", description="folder of the recordings")
    password: str = Field("", description="a secret that the data need")
    prepare: Annotated[tuple[Choice, ...], Slot("preparation", many=True)] = Field((), description="preparations")


class StageOptions(Options):
    channels: tuple[Annotated[int, Field(ge=1)], ...] = Field((16,), min_length=1, description="output channels")
    kernel: tuple[int, int] = Field((3, 3), description="height and width")
    gain: Scheduled = Field(1.0, description="factor, a number or a schedule")
    clip: float | None = Field(2.0, gt=0, description="a bound that may be absent")


class ModelOptions(Options):
    core: Annotated[tuple[Choice, ...], Slot("stage", many=True)] = Field(description="stages, in order")
    modulator: Annotated[Choice | None, Slot("modulator")] = Field(None, description="modulator")
    readout: Annotated[Choice, Slot("readout", default=("pooled",))] = Field(description="readout")


class WarmOptions(SamplerOptions):
    warmup: Scheduled = Field(0.0, description="blend, a number or a schedule")
    low: float = Field(0.0, ge=0, le=1, description="smallest score")
    high: float = Field(1.0, ge=0, le=1, description="largest score")

    @model_validator(mode="after")
    def _ordered(self):
        if self.low > self.high:
            raise ValueError("`low` must not be above `high`")
        return self


class StopOptions(Options):
    monitor: str = Field("", description="logged value")
    patience: int = Field(3, ge=1, description="validations without improvement")
    strict: bool = Field(False, description="a boolean")
    label: str = Field("stop", description="text")
    mode: str = Field("min", pattern="^(min|max)$", description="direction")


class OnlineOptions(Options):
    project: str = Field("runs", description="project")
    url: str = Field("", description="address")


class RequiredOptions(Options):
    steps: int = Field(ge=1, description="how many steps")


class LooseOptions(Options, extra="ignore"):
    """Breaks the promise that unknown keys are errors."""


class NamedOptions(Options):
    name: str = Field("", description="a word that belongs to every block")


class RaisingOptions(Options):
    value: int = Field(0, description="anything")

    @model_validator(mode="after")
    def _fails(self):
        raise RuntimeError("not a ValueError")


_HOME = types.ModuleType(HOME)
for _class in list(globals().values()):
    if isinstance(_class, type) and issubclass(_class, Options) and _class.__module__ == __name__:
        setattr(_HOME, _class.__name__, _class)


def component(name, options="", **more):
    return Component(name=name, summary=f"the {name}", build=f"{HOME}:{name}", options=options, **more)


FAKES = {
    "dataset": [component("sessions", ":DataOptions"), component("arrays", ":DataOptions")],
    "preparation": [component("pixel_norm"), component("center")],
    "sampler": [component("shuffled"), component("contrast_weighted", ":WarmOptions")],
    "transform": [component("shift")],
    "model": [component("encoder", ":ModelOptions")],
    "stage": [component("conv3d", ":StageOptions"), component("resnet3d", ":StageOptions")],
    "modulator": [component("film"), component("concat")],
    "readout": [component("gaussian"), component("pooled")],
    "loss": [component("poisson"), component("squared")],
    "metric": [component("bits"), component("correlation", logs=("correlation", "correlation/median"))],
    "regularizer": [component("l1"), component("group_lasso")],
    "optimizer": [component("adamw"), component("sgd")],
    "scheduler": [component("cosine", ":RequiredOptions"), component("constant")],
    "callback": [component("heartbeat"), component("early_stopping", ":StopOptions")],
    "logger": [component("csv"), component("jsonl"), component("online", ":OnlineOptions")],
    "evaluator": [
        component("stranger", ":StopOptions"),
        component("loose", ":LooseOptions"),
        component("named", ":NamedOptions"),
        component("raising", ":RaisingOptions"),
        component("absent", ":NoSuchOptions"),
        component("wrong_base", "visioncore_engine.component:Component"),
    ],
}


def hook(name, function):
    function.__name__ = name
    return hookimpl(function)


def plugin_object(components, **hooks):
    """An object with hooks, as a plugin module would be."""
    found = {
        KINDS[kind].hook: hook(KINDS[kind].hook, lambda items=tuple(items): items) for kind, items in components.items()
    }
    return SimpleNamespace(**found, **{name: hook(name, function) for name, function in hooks.items()})


def entry_point(name, loaded, home=HOME, dist=None):
    """An entry point that needs no installation; `loaded` may be an exception, which loading raises."""

    def load():
        if isinstance(loaded, BaseException):
            raise loaded
        return loaded

    return SimpleNamespace(name=name, value=home, dist=dist, load=load)


def distribution(name, version="1.0"):
    return SimpleNamespace(name=name, version=version, read_text=lambda _file: None)


@pytest.fixture(scope="session")
def fakes():
    """How to make plugins in process: their parts by name."""
    return SimpleNamespace(
        component=component, plugin=plugin_object, entry_point=entry_point, distribution=distribution, home=HOME
    )


@pytest.fixture(scope="session", autouse=True)
def _home():
    sys.modules[HOME] = _HOME
    yield
    del sys.modules[HOME]


@pytest.fixture(scope="session")
def registry(_home):
    """One plugin with components of every kind."""
    return discover(entry_points=[entry_point("fakes", plugin_object(FAKES), dist=distribution("fake-lab", "1.2"))])


GOOD = """\
seed: 7
data: sessions
sampler:
  name: contrast_weighted
  batch_size: 64
  warmup: {schedule: ramp, steps: 2000}
model:
  name: encoder
  core:
    - conv3d
    - {name: resnet3d, channels: [16, 32]}
  modulator: film
loss:
  name: poisson
  weighting: sessions
metrics: [bits, correlation]
regularizers:
  sparse:
    name: group_lasso
    strength: 1e-5
    match: "readouts.*.features"
optimizer:
  name: adamw
  lr: 1e-3
  clip: 1.0
  groups:
    core: {match: "core.*", lr_scale: 0.5}
scheduler: {name: cosine, steps: 100}
callbacks:
  - heartbeat
  - {name: early_stopping, patience: 10, monitor: val/bits}
checkpoint:
  keep: 3
  monitor: val/bits
  mode: max
trainer:
  max_epochs: 20
  precision: bf16-mixed
"""


@pytest.fixture
def good():
    """A run file without a mistake."""
    return GOOD


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write files into the working folder, which is a fresh one, and return the name of the first."""
    monkeypatch.chdir(tmp_path)

    def write(**files):
        for name, text in files.items():
            content = text if isinstance(text, bytes) else text.encode()
            (tmp_path / f"{name}.yaml").write_bytes(content)
        return f"{next(iter(files))}.yaml"

    return write


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of fake distributions on `sys.path`."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)

    def install(name, version="1.0", entry_points=None, direct_url=None, **modules):
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{key} = {value}" for key, value in (entry_points or {}).items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{ENTRY_POINT_GROUP}]", *lines]))
        if direct_url is not None:
            (info / "direct_url.json").write_text(direct_url)
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        return folder

    install.folder = folder
    yield install
    for module in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[module], "__file__", "")):
            del sys.modules[module]


@pytest.fixture
def installed(site):
    """The entry points of the fake distributions only, in a given order."""

    def points(order=None):
        found = [
            point
            for dist in importlib_metadata.distributions(path=[str(site.folder)])
            for point in dist.entry_points
            if point.group == ENTRY_POINT_GROUP
        ]
        if order is not None:
            order.shuffle(found)
        return found

    return points


CLI_LAB = """
    from typing import Annotated

    from pydantic import Field

    from visioncore_engine import Component, hookimpl
    from visioncore_engine.options import Choice, Options, Slot


    class ModelOptions(Options):
        core: Annotated[tuple[Choice, ...], Slot("stage", many=True)] = Field((), description="stages in order")
        width: int = Field(8, ge=1, description="channels of every layer, in a text that has to be wrapped")


    class ChosenOptions(Options):
        steps: int = Field(ge=1, description="how many")


    def part(name, **more):
        return Component(name=name, summary=f"a part named {name}", build=":Part", **more)


    @hookimpl
    def visioncore_datasets():
        yield part("cli_data")


    @hookimpl
    def visioncore_samplers():
        yield part("cli_sampler")


    @hookimpl
    def visioncore_models():
        yield part("cli_model", options=":ModelOptions")


    @hookimpl
    def visioncore_stages():
        yield part("cli_stage", options=":ChosenOptions")


    @hookimpl
    def visioncore_losses():
        yield part("cli_loss")


    @hookimpl
    def visioncore_optimizers():
        yield part("cli_optimizer")


    @hookimpl
    def visioncore_metrics():
        yield part("cli_metric", logs=("cli_metric", "cli_metric/median"))


    @hookimpl
    def visioncore_loggers():
        yield part("cli_logger")
"""

CLI_RUN = """\
data: cli_data
sampler: {name: cli_sampler, batch_size: 4}
model: {name: cli_model, core: [{name: cli_stage, steps: 3}]}
loss: cli_loss
optimizer: {name: cli_optimizer, lr: 1e-2}
metrics: [cli_metric]
loggers: [cli_logger]
trainer: {max_epochs: 2}
"""


@pytest.fixture
def lab(site, write):
    """A distribution with one component of each needed kind, and a run file that uses them: its name."""
    site("cli-lab", "1.5", {"cli_lab": "cli_lab_module"}, cli_lab_module=CLI_LAB)
    return write(run=CLI_RUN)
