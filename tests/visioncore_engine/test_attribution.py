"""What a plugin raises is told with its name, version, what it was called as, and the rank."""

from __future__ import annotations

import re
import textwrap

import fault_parts
import pytest
import torch
from engine_road import EngineRoad
from fault_parts import arm, raising, rank

from visioncore_engine import evaluate, resolve, train
from visioncore_engine.attribution import missed
from visioncore_engine.cli import main
from visioncore_engine.errors import PluginError, RunError
from visioncore_engine.launch.local import LocalLauncher

GLOO = (
    "[/__w/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error [10.0.0.2]:165: Connection reset by peer"
)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError(f"{GLOO}. This is typically caused by a remote worker. GLHF!"), GLOO.partition("] ")[2]),
        (RuntimeError("NCCL error: remote process exited or there was a network error\nncclRemoteError: x"), None),
        (RuntimeError("expected a tensor of 3 dimensions"), ""),
        (ConnectionResetError("Connection reset by peer"), ""),  # of a logger, say
    ],
)
def test_what_a_collective_says_of_a_process_that_is_gone(error, told):
    assert missed(error) == (str(error).partition("\n")[0] if told is None else told)


DECLARATIONS = """
    from visioncore_engine import Component, hookimpl

    KINDS = {
        "dataset": "toy_options:ToyDataOptions", "sampler": "", "transform": "", "model": "toy_options:ToyModelOptions",
        "loss": "", "metric": "", "regularizer": "", "optimizer": "", "scheduler": "", "callback": "", "logger": "",
        "evaluator": "",
    }

    def declare(kind, plural):
        def hook():
            yield Component(
                name="faulty", summary="", build=f"faulty_parts:{kind.title()}", options=KINDS[kind],
                logs=("toy_error", "toy_count") if kind == "metric" else (),
            )
        hook.__name__ = f"visioncore_{plural}"
        return hookimpl(hook)

    for _kind in KINDS:
        _plural = {"loss": "losses"}.get(_kind, f"{_kind}s")
        globals()[f"visioncore_{_plural}"] = declare(_kind, _plural)

    @hookimpl
    def visioncore_checks(config):
        import faulty_parts
        faulty_parts.strike("check")

    @hookimpl
    def visioncore_report_sections():
        yield "faulty_parts:section"
"""

PARTS = """
    import pytorch_lightning as pl
    import torch
    import toy_parts as toy

    PLACE = [""]

    def strike(place):
        if PLACE[0] == place:
            raise ValueError("as asked")

    class Keep:
        training_only = True
        def __init__(self, options, facts): pass
        def __call__(self, batch, key): return batch

    class Adam(torch.optim.AdamW):
        def __init__(self, options, facts):
            super().__init__(facts.torch_groups(), lr=options.lr)

    class Hooks(pl.Callback):
        def __init__(self, options, facts): pass

    FAULTY

    class Dataset(toy.ToyData):
        def sources(self, split, history):
            strike("Dataset.sources")
            found = super().sources(split, history)
            for source in found:
                source.__class__ = Source
            return found

    def section(context):
        strike("section")
"""

# Kind, base class, and the methods that strike, each at a place of its name.
STRUCK = {
    "source": ("toy.ToySource", "gather"),
    "sampler": ("toy.ToySampler", "batch", "steps_per_epoch"),
    "transform": ("Keep", "__call__"),
    "model": ("toy.ToyModel", "forward"),
    "loss": ("toy.ToySquared", "weights", "__call__"),
    "metric": ("toy.ToyError", "update", "compute"),
    "regularizer": ("toy.ToyL2", "penalty", "proximal"),
    "optimizer": ("Adam", "step"),
    "scheduler": ("toy.ToyHalving", "factor", "observe"),
    "callback": ("Hooks", "on_train_batch_start", "on_validation_end", "on_train_end"),
    "logger": ("toy.ToyMemory", "log_metrics"),
    "evaluator": ("toy.ToyTable", "evaluate"),
}


def struck(kind, base, *methods):
    """Source of a class whose constructor and methods strike first."""
    lines = [f"class {kind.title()}({base}):"]
    for name in ("__init__", *methods):
        lines += [
            f"    def {name}(self, *arguments, **named):",
            f"        strike('{kind.title()}.{name}')",
            f"        return super().{name}(*arguments, **named)",
        ]
    return "\n".join(lines)


RUN = """
seed: 5
data: {name: faulty, num_groups: 2}
sampler: {name: faulty, batch_size: 24, batches_per_epoch: 2}
transforms: [faulty]
model: faulty
loss: faulty
metrics: [faulty]
regularizers: {shrink: {name: faulty, strength: 1.0e-3, match: "heads.*.weight"}}
optimizer: {name: faulty, lr: 0.01}
scheduler: faulty
callbacks: [faulty]
loggers: [faulty]
evaluate: [faulty]
checkpoint: {monitor: val/toy_error}
trainer: {max_epochs: 1, accelerator: cpu, log_every_n_steps: 1}
run: {dir: here}
"""
WHO = r"plugin 'faulty_lab' \(faulty-lab==3\.1\)"


@pytest.fixture
def faulty(site, write):
    """Train with a fault at a place."""
    classes = "\n".join(struck(kind, *found) for kind, found in STRUCK.items())
    parts = textwrap.dedent(PARTS).replace("FAULTY", classes)
    site("faulty-lab", "3.1", {"faulty_lab": "faulty_lab"}, faulty_lab=DECLARATIONS, faulty_parts=parts)
    run = write(run=RUN)

    def faulty(place):
        import faulty_parts

        faulty_parts.PLACE[0] = place
        return train(resolve(run), quiet=True)

    return faulty


@pytest.mark.parametrize(
    "place",
    [
        "Dataset.sources",
        "Source.gather",  # in the thread that reads ahead
        "Sampler.steps_per_epoch",
        "Sampler.batch",
        "Transform.__call__",
        "Model.forward",
        "Loss.weights",
        "Loss.__call__",
        "Metric.update",
        "Metric.compute",
        "Regularizer.penalty",
        "Regularizer.proximal",
        "Optimizer.step",
        "Scheduler.factor",
        "Scheduler.observe",
        "Callback.on_train_batch_start",
        "Callback.on_validation_end",
        "Callback.on_train_end",
        "Evaluator.evaluate",
    ],
)
def test_what_a_component_raises_is_its_plugins(faulty, place):
    with pytest.raises(RunError) as failed:
        faulty(place)
    called = rf"called as {re.escape(place)} on rank 0: ValueError: as asked(; reading .*)?"
    said = rf"run failed: {WHO}, faulty_parts:\d+, {called}"
    assert re.fullmatch(said, str(failed.value)), str(failed.value)


@pytest.mark.parametrize(
    ("place", "kind"),
    [("Sampler", "sampler"), ("Model", "model"), ("Callback", "callback"), ("Evaluator", "evaluator")],
)
def test_what_a_builder_raises_is_its_plugins(faulty, place, kind):
    with pytest.raises(RunError) as failed:
        faulty(f"{place}.__init__")
    said = rf"run failed: {kind} 'faulty' of {WHO} could not be built: ValueError: as asked"
    assert re.fullmatch(said, str(failed.value)), str(failed.value)


def test_a_logger_that_fails_is_named_and_training_goes_on(faulty, capsys):
    faulty("Logger.log_metrics")
    assert re.search(rf"warning: .*{WHO}, faulty_parts:\d+, called as Logger\.log_metrics", capsys.readouterr().err)


def test_a_check_that_fails_is_named(faulty):
    with pytest.raises(
        PluginError, match=r"plugin faulty_lab \(faulty-lab==3\.1\): visioncore_checks raised .*as asked"
    ):
        faulty("check")


def test_a_section_that_fails_is_named_on_the_page(faulty):
    page = (faulty("section").run_dir / "report.html").read_text()
    assert "The section &#x27;section&#x27; of plugin faulty_lab (faulty-lab==3.1) could not be drawn" in page
    assert "as asked" in page


def test_an_evaluation_names_its_plugin_too(faulty, capsys):
    import faulty_parts

    folder = faulty("").run_dir
    faulty_parts.PLACE[0] = "Evaluator.evaluate"
    with pytest.raises(RunError, match=rf"{WHO}, faulty_parts:\d+, called as Evaluator\.evaluate on rank 0"):
        evaluate(folder)
    assert main(["evaluate", str(folder)]) == 70
    assert "called as Evaluator.evaluate" in capsys.readouterr().err


def test_what_is_nobodys_before_training_is_a_defect_of_ours(faulty, monkeypatch):
    monkeypatch.setattr("visioncore_engine.build.build_index", lambda sources: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        faulty("")


# ---------------------------------------------------------------------------------------------------------------
# Several processes

torch.set_num_threads(1)  # a child of a process with a pool of threads would wait for threads that it does not have


def test_an_exception_on_another_rank_says_which(tmp_path):
    road = EngineRoad(tmp_path)
    ended = road.train("run", processes=2, before=lambda: arm("noise", raising(ValueError("as asked")), step=2, rank=1))
    assert ended.code == 70, ended
    assert re.search(r"plugin 'fault_plugin' \(.*\), fault_parts:\d+, called as \S+ on rank 1: ValueError", ended.err)
    assert "on rank 0: ValueError" not in ended.err


def test_a_builder_that_fails_on_another_rank_says_which(tmp_path):
    def fail_there():
        original = fault_parts.ToyNoise.__init__

        def other(self, *arguments):
            if rank() == 1:
                raise ValueError("as asked")
            original(self, *arguments)

        fault_parts.ToyNoise.__init__ = other
        LocalLauncher.__init__.__kwdefaults__["grace"] = 0.5  # the other waits for it where no signal is heard

    ended = EngineRoad(tmp_path).train("run", processes=2, before=fail_there)
    assert ended.code == 70, ended
    said = "transform 'toy_noise' of plugin 'fault_plugin' could not be built: ValueError: as asked (on rank 1)"
    assert said in ended.err
