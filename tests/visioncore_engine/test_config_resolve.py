"""From a run file to a typed run: every mistake at once, each with its place, and nothing left implicit."""

from __future__ import annotations

import random
import re
import string
import sys
from typing import Annotated

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from visioncore_engine import discover, resolve
from visioncore_engine.config import resolve_mapping
from visioncore_engine.config.document import parse_value
from visioncore_engine.config.node import plain
from visioncore_engine.config.resolve import resolve_part
from visioncore_engine.config.run import RunConfig
from visioncore_engine.errors import ConfigError, PluginError, Problem, UserError
from visioncore_engine.options import Choice, Options, Slot
from visioncore_engine.schedule import Schedule


@pytest.fixture
def run(write, good, registry):
    """Resolve the good run, with changes laid over it."""

    def run(*sets, registry=registry, text=good, **more):
        return resolve(write(run=text), sets, registry=registry, **more)

    return run


@pytest.fixture
def problems(write, registry):
    """Problems of a run file, as text."""

    def problems(text, sets=(), error=UserError, registry=registry):
        with pytest.raises(error) as caught:
            resolve(write(run=text), sets, registry=registry)
        return [str(problem) for problem in caught.value.problems]

    return problems


def changed(text, old, new):
    assert text.count(old) == 1
    return text.replace(old, new)


def line_of(text, part):
    return 1 + text[: text.index(part)].count("\n")


# ---------------------------------------------------------------------------------------------------------------
# What comes out


def test_a_good_run_is_typed_and_filled(run):
    resolved = run()
    found = resolved.run
    assert isinstance(found, RunConfig)
    assert (found.data.kind, found.data.name, found.data.plugin) == ("dataset", "sessions", "fakes")
    assert found.sampler.options.warmup == Schedule(schedule="ramp", steps=2000)
    assert [choice.id for choice in found.model.options.core] == ["conv3d", "resnet3d"]
    assert found.model.options.core[1].options.channels == (16, 32)
    assert found.model.options.modulator.name == "film"
    assert found.model.options.readout.name == "pooled"  # the slot's default
    assert [choice.name for choice in found.loggers] == ["csv", "jsonl"]
    assert found.regularizers[0].id == "sparse"
    assert found.regularizers[0].options.match == ("readouts.*.features",)
    assert found.optimizer.options.lr == 0.001
    assert found.data.where == "run.yaml:2"
    assert found.model.options.core[1].where == "run.yaml:11"
    assert found.data.home == "fake_home"
    assert resolved.name == "run"
    assert resolved.files == ("run.yaml",)


def test_the_dump_has_no_defaults_left_implicit(run):
    dump = run().dump()
    assert dump["sampler"]["batches_per_epoch"] is None
    assert list(dump["model"]["core"]) == ["conv3d", "resnet3d"]
    assert dump["model"]["core"]["conv3d"] == {
        "name": "conv3d",
        "channels": [16],
        "kernel": [3, 3],
        "gain": 1.0,
        "clip": 2.0,
    }
    assert dump["loggers"] == {"csv": {"name": "csv"}, "jsonl": {"name": "jsonl"}}
    assert dump["trainer"]["accelerator"] == "auto"


CHANGES = {
    "as-it-is": [],
    "without": ["scheduler=null", "callbacks=[]", "loggers=[]", "regularizers=null", "checkpoint.monitor=val/loss"],
    "null-is-a-value": ["model.core.conv3d.clip=null"],
    "ids": ["model.core=[{name: conv3d, id: a}, {name: conv3d, id: b-2, clip: 3}]"],
    "references-in-lists": ["metrics=['fakes:bits', {name: 'fakes:correlation', id: c}]"],
    "references": ["loss=fakes:squared", "model.modulator={name: 'fakes:concat'}"],
    "interpolated": ["data.root=$${x} ${seed}"],
    "awkward-text": ["callbacks.early_stopping.label=\"a: 'b' # c\\n\\u20ac\\\\\"", "run.name=a+b"],
    "words": ["callbacks.early_stopping.label='no'", "data.root='1e-3'", "run.dir='~'"],
    "schedules": ["model.core.conv3d.gain={schedule: cosine, steps: 10, clock: epoch}"],
}


@pytest.mark.parametrize("sets", CHANGES.values(), ids=CHANGES)
def test_a_dump_resolves_to_the_same_run(run, write, registry, sets):
    resolved = run(*sets)
    again = resolve(resolved.dump(), registry=registry)
    assert again.run == resolved.run
    assert again.dump() == resolved.dump()
    assert again.digest == resolved.digest
    assert resolve_mapping(resolved.dump(), registry=registry, where="x") == resolved.run
    written = resolve(write(again=resolved.to_yaml()), registry=registry)
    assert written.run == resolved.run
    assert written.digest == resolved.digest
    # Another reader of YAML sees the same values.
    assert without_escapes(yaml.safe_load(resolved.to_yaml())) == resolved.dump()


finite = st.floats(allow_nan=False, allow_infinity=False)
schedules = st.fixed_dictionaries(
    {"schedule": st.sampled_from(["constant", "step_in", "ramp", "cosine"]), "steps": st.floats(0.5, 1e6)},
    optional={"start": finite, "stop": finite, "clock": st.sampled_from(["step", "epoch", "fraction"])},
)
stages = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["conv3d", "resnet3d"]),
        "id": st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,6}", fullmatch=True),
    },
    optional={
        "channels": st.lists(st.integers(1, 2**70), min_size=1, max_size=3),
        "gain": finite | schedules,
        "clip": st.none() | st.floats(0, exclude_min=True, allow_infinity=False),
    },
)
texts = st.text(max_size=20) | st.text("\u2028\x85\x7f\x00\n\r\t\ufeff\U0001f42d'\"\\#:${} a", max_size=6)
overlays = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, 2**32 - 1),
        "data": st.fixed_dictionaries({"name": st.just("sessions")}, optional={"root": texts}),
        "model": st.fixed_dictionaries(
            {"core": st.lists(stages, max_size=3, unique_by=lambda stage: stage["id"])},
            optional={"modulator": st.sampled_from([None, "film", "concat"]), "readout": st.just("gaussian")},
        ),
        "callbacks": st.lists(st.sampled_from(["heartbeat", "early_stopping"]), unique=True),
        "optimizer": st.fixed_dictionaries(
            {"name": st.just("sgd")},
            optional={
                "lr": st.floats(1e-9, 1e9),
                "groups": st.dictionaries(texts, st.fixed_dictionaries({"match": texts | st.lists(texts)})),
            },
        ),
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(overlay=overlays)
def test_resolving_what_was_resolved_changes_nothing(good, registry, write, overlay):
    base = parse_value(good, "")
    resolved = resolve([plain(base), overlay], registry=registry)
    again = resolve(resolved.dump(), registry=registry)
    assert again.run == resolved.run
    assert again.digest == resolved.digest
    written = resolve(write(again=resolved.to_yaml()), registry=registry)
    assert written.run.model_copy(update={"run": resolved.run.run}) == resolved.run


def without_escapes(value):
    if isinstance(value, dict):
        return {key: without_escapes(item) for key, item in value.items()}
    return value.replace("$${", "${") if isinstance(value, str) else value


def test_the_digest_is_of_the_run_not_of_its_spelling(run, good, write, registry):
    digest = run().digest
    assert run("loss={name: poisson, weighting: sessions}").digest == digest
    assert run("loss.weighting=samples").digest != digest
    assert run("model.core=[{name: resnet3d, channels: [16, 32]}, conv3d]").digest != digest  # order is part of it


def test_origins(run):
    resolved = run("optimizer.lr=2e-3")
    assert resolved.origin("optimizer.lr") == "--set"
    assert resolved.origin("optimizer.clip") == "run.yaml:25"
    assert resolved.origin("optimizer.weight_decay") == "default"
    assert resolved.origin("model.core.resnet3d.channels") == "run.yaml:11"
    assert resolved.origin("loggers.csv.name") == "default"
    assert resolved.origin("run.name") == "default"
    assert resolved.where("optimizer.weight_decay") == "run.yaml:22"
    assert resolved.where("no.such.key") == "run.yaml"
    assert [(origin.where, origin.text) for origin in resolved.history("optimizer.lr")] == [
        ("default of optimizer adamw", "0.001"),
        ("run.yaml:24", "0.001"),
        ("--set", "0.002"),
    ]
    assert [(origin.where, origin.text) for origin in resolved.history("optimizer.weight_decay")] == [
        ("default of optimizer adamw", "0.0")
    ]
    with pytest.raises(ConfigError, match="did you mean 'lr'"):
        resolved.history("optimizer.lrr")


def test_the_written_run_says_where_each_value_comes_from(run):
    lines = run("optimizer.lr=2e-3").to_yaml().splitlines()
    assert "  lr: 0.002  # --set" in lines
    assert "  clip: 1.0  # run.yaml:25" in lines
    assert "  weight_decay: 0.0" in lines


def test_folders_are_those_of_the_file_that_wrote_the_value(tmp_path, write, good, registry):
    (tmp_path / "deep").mkdir()
    write(run=f"{good}\n")
    (tmp_path / "deep" / "over.yaml").write_text("data: {root: here}\n")
    resolved = resolve(["run.yaml", "deep/over.yaml"], registry=registry)
    assert str(resolved.folder("data.root")) == "deep"
    assert str(resolved.folder("run.dir")) == "."


def test_the_name_of_a_run_is_that_of_its_first_file(write, good, registry):
    path = write(**{"my run (2)": good})
    assert resolve(path, registry=registry).name == "my-run--2-"
    assert resolve(path, ["run.name=other"], registry=registry).name == "other"


# ---------------------------------------------------------------------------------------------------------------
# What is refused: `--set` over the good run, and a part of what is said

REFUSED = {
    "C03-text-for-number": ("optimizer.lr=fast", "optimizer.lr: expected a number > 0 (got text 'fast')"),
    "C04-nan": ("optimizer.lr=.nan", "expected a number > 0 (got not a number); it must be finite"),
    "C04-infinity": ("optimizer.lr=.inf", "expected a number > 0 (got infinity); it must be finite"),
    "C05-negative": ("optimizer.lr=-1", "expected a number > 0 (got -1)"),
    "C05-zero": ("optimizer.lr=0", "expected a number > 0 (got 0)"),
    "C06-bool-for-number": ("optimizer.lr=true", "expected a number > 0 (got true)"),
    "C06-bool-for-integer": ("seed=true", "expected an integer in [0, 4294967296) (got true)"),
    "C07-yes-for-bool": (
        "callbacks.early_stopping.strict=yes",
        "(got text 'yes'); write true; yes, no, on and off are text",
    ),
    "C07-off-for-bool": ("callbacks.early_stopping.strict=off", "write false"),
    "C07-True-for-bool": ("callbacks.early_stopping.strict=True", "write true"),
    "C07-true-for-text": ("callbacks.early_stopping.label=true", "expected text (got true); quote it: 'true'"),
    "C07-number-for-text": ("callbacks.early_stopping.label=12", "expected text (got 12); quote it: '12'"),
    "C09-time-for-number": ("trainer.max_steps=1:30:00", "(got text '1:30:00'); times are not converted"),
    "C10-date-for-number": ("seed=2026-01-01", "expected an integer in [0, 4294967296) (got text '2026-01-01')"),
    "C11-negative-seed": ("seed=-1", "seed: expected an integer in [0, 4294967296) (got -1)"),
    "C11-large-seed": ("seed=4294967296", "expected an integer in [0, 4294967296) (got 4294967296)"),
    "C11-fraction": ("seed=1.5", "expected an integer in [0, 4294967296) (got 1.5)"),
    "C11-whole-float": ("seed=2.0", "(got 2.0); write 2"),
    "C12-unknown-key": (
        "sampler.batch_sze=8",
        "sampler.batch_sze: unknown key 'batch_sze'; did you mean 'batch_size'?",
    ),
    "C12-unknown-top": ("sampelr=x", "sampelr: unknown key 'sampelr'; did you mean 'sampler'?"),
    "C12-nested": ("optimizer.groups.core.lr_scal=2", "optimizer.groups.core.lr_scal: unknown key"),
    "C12-in-a-schedule": ("sampler.warmup.stpes=3", "sampler.warmup.stpes: unknown key 'stpes'; did you mean 'steps'?"),
    "C13-removed": ("data=null", "data: the required key 'data' is missing: what to train on"),
    "C13-in-a-block": (
        "scheduler.steps=null",
        "scheduler.steps: the required key 'steps' is missing: how many steps",
    ),
    "C13-in-a-group": ("optimizer.groups.rest={lr_scale: 2}", "optimizer.groups.rest.match: the required key 'match'"),
    "C24-target": (
        "model={_target_: os.system}",
        "model._target_: import paths are not allowed; use a registered name: `name`",
    ),
    "C24-in-a-list": ("regularizers.x={_target_: os.system}", "regularizers.x._target_: import paths are not allowed"),
    "C24-class-path": ("loss.class_path=torch.nn.MSELoss", "loss.class_path: import paths are not allowed"),
    "C24-dotted-name": ("model=os.system", "model: import paths are not allowed (got 'os.system')"),
    "C24-dotted-block": ("model.name=logging.os.system", "import paths are not allowed"),
    "C24-path": ("model=../lab.py", "import paths are not allowed"),
    "C24-address": ("model=os:system", "no plugin named 'os'"),
    "C25-unknown-name": ("model=resnet99", "no model named 'resnet99'; installed models: encoder (from fake-lab==1.2)"),
    "C25-nearest": ("model.core.conv3d.name=conv3", "no stage named 'conv3'; did you mean 'conv3d'?"),
    "C26-environment": ("data.root=${HOME}", "the interpolation ${HOME} has no value"),
    "C28-name": ("run.name=../../etc", "run.name: expected text that matches"),
    "C33-monitor": (
        "checkpoint.monitor=val_loss",
        "nothing logs a value of this name (got 'val_loss'); did you mean 'val/loss'?",
    ),
    "C33-monitor-of-a-callback": (
        "callbacks.early_stopping.monitor=val/bit",
        "callbacks.early_stopping.monitor: nothing logs",
    ),
    "C33-monitor-of-training": ("checkpoint.monitor=train/loss", "nothing logs a value of this name"),
    "C34-keeps-nothing": ("checkpoint.keep=0", "checkpoint.keep: expected an integer >= 1 (got 0)"),
    "C36-api-key": (
        "loggers={online: {api_key: sk-12345}}",
        "loggers.online.api_key: secrets belong in the environment",
    ),
    "C36-token-number": ("loggers={online: {token: 12345}}", "loggers.online.token: secrets belong in the environment"),
    "C36-url": ("loggers={online: {url: 'https://user:12345@host'}}", "loggers.online.url: secrets belong"),
    "C36-nested": ("loggers={online: {settings: {password: '12345'}}}", "loggers.online.settings.password: secrets"),
    "a-word-of-ours": ("seed=$failed", "expected an integer in [0, 4294967296) (got text '$failed')"),
    "literal": (
        "trainer.accelerator=gpuu",
        "expected one of 'auto', 'cpu', 'gpu' (got text 'gpuu'); did you mean 'gpu'?",
    ),
    "literal-or-integer": ("trainer.devices=many", "expected 'auto' or an integer >= 1 (got text 'many')"),
    "precision-alias": ("trainer.precision=bf16", "(got text 'bf16'); write bf16-mixed"),
    "precision-number": ("trainer.precision=32", "(got 32); write 32-true"),
    "quoted-number": ("seed='3'", "(got text '3'); write 3, without quotes"),
    "underscores": ("seed=1_000", "(got text '1_000'); write 1000, without quotes"),
    "number-for-mapping": ("checkpoint=3", "checkpoint: expected a mapping with the keys every_n_epochs"),
    "mapping-for-number": ("seed={a: 1}", "seed: expected an integer in [0, 4294967296) (got a mapping)"),
    "list-for-number": ("seed=[1]", "(got a list)"),
    "number-for-list": (
        "model.core.conv3d.channels=8",
        "expected a list of integers >= 1 (at least 1 long) (got 8); write a list",
    ),
    "text-in-list": (
        "model.core.conv3d.channels=[8, x]",
        "model.core.conv3d.channels.1: expected an integer >= 1 (got text 'x')",
    ),
    "empty-list": ("model.core.conv3d.channels=[]", "expected a list of integers >= 1 (at least 1 long) (got a list)"),
    "short-list": (
        "model.core.conv3d.kernel=[3]",
        "model.core.conv3d.kernel: expected a list of 2 integers (got a list)",
    ),
    "long-list": ("model.core.conv3d.kernel=[3, 3, 3]", "model.core.conv3d.kernel: expected a list of 2 integers"),
    "schedule-or-number": (
        "sampler.warmup=slow",
        "sampler.warmup: expected a number or a mapping with the keys schedule",
    ),
    "schedule-without-steps": (
        "sampler.warmup={schedule: ramp, steps: 0}",
        "sampler.warmup: schedule 'ramp' needs `steps` > 0",
    ),
    "schedule-unknown": ("sampler.warmup.schedule=rmap", "did you mean 'ramp'?"),
    "pattern": ("callbacks.early_stopping.mode=down", "expected text that matches ^(min|max)$ (got text 'down')"),
    "rule-of-a-block": ("sampler={low: 0.9, high: 0.1}", "sampler: `low` must not be above `high`"),
    "no-end": ("trainer.max_epochs=null", "trainer: a run needs an end: set `max_epochs` or `max_steps`"),
    "number-for-a-block": ("model=3", "model: expected a model: its name, or a block {name: …} (got 3)"),
    "list-for-a-block": ("model=[encoder]", "model: expected a model: its name, or a block {name: …} (got a list)"),
    "one-block-for-a-list": ("metrics=bits", "metrics: expected a list of metrics, or a mapping from id to block"),
    "one-block-with-options": ("metrics={name: bits}", "write it in a list: […]"),
    "numbers-for-blocks": ("metrics=[1]", "metrics.0: expected a metric: its name, or a block {name: …} (got 1)"),
    "number-under-an-id": (
        "metrics={bits: 3}",
        "metrics.bits: expected a metric: its name, or a block {name: …} (got 3)",
    ),
    "nameless": ("model={core: [conv3d]}", "unknown key"),
    "two-of-one-id": ("metrics=[bits, bits]", "metrics: two blocks have the id 'bits'"),
    "bad-id": ("metrics=[{name: bits, id: a.b}]", "an id is made of letters"),
    "position-as-id": ("model.core.1.channels=[3]", "model.core.1: an id is made of letters"),
    "digits-as-id": ("metrics=[{name: bits, id: '1'}]", "an id is made of letters"),
    "another-id": ("metrics={a: {name: bits, id: b}}", "metrics.a.id: the id says other than the key 'a'"),
    "id-where-there-is-one": ("model.id=x", "model.id: unknown key 'id'"),
    "nothing-to-remove": (
        "callbacks.hartbeat=null",
        "null removes, and there is nothing to remove; did you mean 'heartbeat'?",
    ),
    "no-group-to-remove": (
        "optimizer.groups.croe=null",
        "optimizer.groups.croe: null removes, and there is nothing to remove",
    ),
    "unknown-key-with-null": ("optimizer.lrr=null", "optimizer.lrr: unknown key 'lrr'; did you mean 'lr'?"),
    "key-with-dots": ("{'a.b': 1}", ""),
    "base-of-the-kind": ("evaluate=[wrong_base]", "must be a class derived from visioncore_engine.options:Options"),
    "loosened-options": ("evaluate=[loose]", "must keep the settings of Options: extra"),
    "reserved-field": ("evaluate=[named]", "may not have a field 'name'"),
    "absent-options": ("evaluate=[absent]", "plugin fakes (fake-lab==1.2): cannot import ':NoSuchOptions'"),
    "validator-that-raises": (
        "evaluate=[raising]",
        "the options class RaisingOptions failed: RuntimeError: not a ValueError",
    ),
}
del REFUSED["key-with-dots"], REFUSED["nameless"]


@pytest.mark.parametrize(("change", "expected"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_how(problems, good, change, expected):
    told = problems(good, [change])
    assert len(told) == 1 + ("settings" in change), told
    assert re.match(r"(--set|run\.yaml:\d+): ", told[0])  # a missing key has the place of the block that lacks it
    assert expected in told[0]
    assert "12345" not in told[0]


OWNED = [
    "accumulate_grad_batches", "callbacks", "enable_checkpointing", "gradient_clip_val", "logger", "max_time",
    "num_sanity_val_steps", "strategy", "sync_batchnorm", "use_distributed_sampler", "val_check_interval",
]  # fmt: skip


@pytest.mark.parametrize("argument", OWNED)
def test_arguments_that_the_engine_owns_say_what_replaces_them(problems, good, argument):
    (told,) = problems(good, [f"trainer.{argument}=1"])
    assert told.startswith(f"--set: trainer.{argument}: the engine owns this argument of the Trainer; ")


def test_every_lightning_argument_is_either_ours_or_explained():
    inspect = pytest.importorskip("inspect")
    trainer = pytest.importorskip("pytorch_lightning").Trainer
    from visioncore_engine.config.owned import TRAINER
    from visioncore_engine.config.run import TrainerOptions

    arguments = set(inspect.signature(trainer).parameters)
    unknown = arguments - set(TRAINER) - set(TrainerOptions.model_fields) - {"enable_autolog_hparams", "model_registry"}
    assert unknown == set()


def test_all_mistakes_of_all_blocks_are_told_at_once_in_the_order_of_the_file(problems, good):
    text = changed(good, "seed: 7", "seed: -7")
    text = changed(text, "batch_size: 64", "batch_sise: 64")
    text = changed(text, "- conv3d", "- conv4d")
    text = changed(text, "channels: [16, 32]", "channels: [16, x]")
    text = changed(text, "modulator: film", "modulator: {gain: 2}")
    text = changed(text, "weighting: sessions", "weighting: 3")
    text = changed(text, "strength: 1e-5", "strength: strong")
    text = changed(text, "lr: 1e-3", "lr: 0")
    text = changed(text, "steps: 100", "step: 100")
    text = changed(text, "patience: 10", "patience: 0")
    text = changed(text, "precision: bf16-mixed", "precision: half")
    told = problems(text, error=ConfigError)
    lines = [int(line.split(":")[1]) for line in told]
    assert lines == [1, 5, 10, 11, 12, 15, 20, 24, 28, 31, 38]
    assert told[4] == (
        "run.yaml:12: model.modulator: the block does not say which modulator it is; give it a `name`; "
        "installed: concat, film"
    )


def test_only_plugins_at_fault_is_a_plugin_error(problems, good):
    assert problems(good, ["model=resnet99"], error=PluginError)
    with pytest.raises(ConfigError):
        resolve({"seed": -1, "model": "resnet99"})


def test_a_default_that_is_not_installed_says_that_it_is_a_default(problems, good, fakes, registry):
    kept = [entry for entry in registry.entries if entry.name != "csv"]
    without = type(registry)(registry.plugins, tuple(kept))
    (told,) = problems(good, registry=without)
    assert "loggers.csv: no logger named 'csv'" in told
    assert told.endswith("it is a default, and the run may name another")


def test_a_missing_block_is_told_at_the_top_of_the_run(problems, good):
    (told,) = problems(changed(good, "data: sessions\n", ""))
    assert told.startswith("run.yaml:1: data: the required key 'data' is missing")


def test_a_key_with_dots_is_explained(problems, good):
    (told,) = problems(good + "optimizer.lr: 3\n")
    assert "a key with dots is written as nested mappings" in told


def test_ambiguous_names_fail_only_where_they_are_selected(fakes, registry, good, write):
    other = fakes.plugin({"loss": [fakes.component("poisson")], "readout": [fakes.component("gaussian")]})
    both = discover(
        entry_points=[
            fakes.entry_point("other", other, dist=fakes.distribution("other-lab", "3")),
            *[fakes.entry_point("fakes", _again(registry, fakes), dist=fakes.distribution("fake-lab", "1.2"))],
        ]
    )
    path = write(run=good)
    with pytest.raises(PluginError, match=r"'fakes:poisson' .fake-lab==1.2., 'other:poisson' .other-lab==3."):
        resolve(path, registry=both)
    resolved = resolve(path, ["loss=other:poisson"], registry=both)
    assert resolved.run.loss.plugin == "other"
    assert resolved.dump()["loss"]["name"] == "other:poisson"
    assert resolve(resolved.dump(), registry=both).run == resolved.run


def _again(registry, fakes):
    kinds = {}
    for entry in registry.entries:
        kinds.setdefault(entry.kind, []).append(entry.component)
    return fakes.plugin(kinds)


def test_plugins_that_the_run_blocks_are_blocked(run, site, good, write):
    with pytest.raises(PluginError, match=r"no dataset named 'sessions'.* fakes .* might provide it: blocked"):
        run("plugins.block=[fakes]")
    with pytest.raises(PluginError, match=r"--set: plugins.block: there is no .* .got 'fakse'.; did you mean 'fakes'"):
        run("plugins.block=[fakse]")
    site("heavy-lab", "1", {"heavy": "heavy_module"}, heavy_module="raise SystemExit(5)")
    with pytest.raises(UserError):
        resolve(write(run=f"{good}plugins: {{block: [heavy]}}\n"))
    assert "heavy_module" not in sys.modules


def test_a_plugin_file_that_fails_is_an_error_even_where_nothing_of_it_is_selected(write, good, tmp_path):
    path = write(run=good)
    (tmp_path / "failing_lab.py").write_text("\nimport no_such_module_at_all\n")
    with pytest.raises(PluginError, match=r"failing_lab.py: ModuleNotFoundError"):
        resolve(path, plugin_files=["failing_lab.py"])


def test_a_plugin_may_refuse_a_combination(fakes, registry, good, write):
    def checks(config):
        if config.loss.name == "poisson" and config.seed == 7:
            yield Problem(key="loss.weighting", what="seven is no lucky number here")

    picky = discover(entry_points=[fakes.entry_point("picky", fakes.plugin({}, visioncore_checks=checks))])
    both = type(registry)((*registry.plugins, *picky.plugins), registry.entries, declared_checks=picky.declared_checks)
    with pytest.raises(
        ConfigError, match=r"^config error: run.yaml:15: loss.weighting: seven is no lucky number here$"
    ):
        resolve(write(run=good), registry=both)
    assert resolve("run.yaml", ["seed=8"], registry=both)


def test_monitors_may_name_a_group_and_what_a_metric_declares(run):
    assert run("checkpoint.monitor=val/bits/m1_a")
    assert run("checkpoint.monitor=val/correlation/median")
    assert run("callbacks.early_stopping.monitor=''")


def test_secrets_are_in_the_run_but_in_nothing_that_is_written(run):
    resolved = run("data.password=hunter22", "data.root=https://user:hunter22@host/x")
    assert resolved.run.data.options.password == "hunter22"
    assert "hunter22" not in resolved.to_yaml()
    assert "hunter22" not in str(resolved.dump())
    assert "hunter22" not in str(resolved.history("data.password")) + str(resolved.history("data"))
    assert "https://<hidden>@host/x" in resolved.to_yaml()


def test_c36_a_secret_is_not_even_shown_in_another_error(problems, good):
    for change in ("loggers={name: online, api_key: hunter22}", "data={name: sessions, password: [hunter22]}"):
        assert "hunter22" not in "".join(problems(good, [change]))


def test_plain_values_are_not_interpolated(registry, run):
    content = run().dump()
    content["data"]["root"] = "${seed}"
    assert resolve(content, registry=registry).run.data.options.root == "${seed}"


def test_errors_of_a_dumped_run_name_the_place_they_came_from(registry):
    with pytest.raises(ConfigError, match=r"config error: best.ckpt: seed: expected an integer"):
        resolve_mapping({"seed": -1}, registry=registry, where="best.ckpt")


def test_a_part_of_a_run_can_be_resolved_by_itself(run, registry):
    class Part(Options):
        model: Annotated[Choice, Slot("model")] = Field(description="a model")
        note: str = Field("", description="a text")

    content = {"model": run().dump()["model"], "note": "${kept}"}
    found = resolve_part(Part, content, registry)
    assert found.model == run().run.model
    assert found.note == "${kept}"
    with pytest.raises(ConfigError, match=r"model.core.conv3d.channels.0: expected an integer >= 1"):
        resolve_part(Part, {"model": {**content["model"], "core": {"conv3d": {"channels": [0]}}}}, registry)


def test_choices_know_their_dotted_keys(run):
    keys = [key for key, choice in run().choices() if isinstance(choice, Choice)]
    assert keys == [
        "data", "sampler", "model", "model.core.conv3d", "model.core.resnet3d", "model.modulator", "model.readout",
        "loss", "metrics.bits", "metrics.correlation", "regularizers.sparse", "optimizer", "scheduler",
        "callbacks.heartbeat", "callbacks.early_stopping", "loggers.csv", "loggers.jsonl",
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------
# Typos: single edits of the words of the good run

WORDS = [
    "sampler", "contrast_weighted", "batch_size", "warmup", "schedule", "model", "encoder", "core", "resnet3d",
    "channels", "modulator", "weighting", "poisson", "metrics", "correlation", "regularizers", "group_lasso",
    "strength", "lr", "optimizer", "adamw", "clip", "groups", "lr_scale", "scheduler", "cosine",
    "callbacks", "heartbeat", "early_stopping", "patience", "monitor", "checkpoint", "keep", "mode", "trainer",
    "max_epochs", "precision", "bf16-mixed", "conv3d", "seed", "steps", "name", "data", "loss", "match", "bits",
]  # fmt: skip


def edited(word, draw):
    """The word with one letter changed, dropped, doubled, added, or two swapped."""
    at = draw.randrange(1, len(word))
    letter = draw.choice(string.ascii_lowercase)
    return draw.choice(
        [
            word[:at] + letter + word[at + 1 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at - 1] + word[at:],
            word[:at] + letter + word[at:],
            word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :],
        ]
    )


def typos(good, number):
    """Edits of the words that mean something: not of texts, patterns and names that the user is free to choose."""
    good = good.replace("    core: {match", "    trunk: {match")
    draw = random.Random(2026)
    while number:
        word = draw.choice(WORDS)
        wrong = edited(word, draw)
        places = [found.start() for found in re.finditer(rf"(?<![\w/.-]){re.escape(word)}(?![\w/.-])", good)]
        if wrong == word or not places:
            continue
        at = draw.choice(places)
        yield word, wrong, 1 + good[:at].count("\n"), good[:at] + wrong + good[at + len(word) :]
        number -= 1


def test_300_typos_get_their_line_and_nine_in_ten_the_right_suggestion(good, registry, write):
    right, missed, silent = 0, [], []
    for typed, wrong, line, text in typos(good, 300):
        path = write(run=text)
        try:
            resolve(path, registry=registry)
        except UserError as error:
            told = [str(problem) for problem in error.problems]
        else:
            silent.append((typed, wrong))
            continue
        assert any(message.startswith(f"run.yaml:{line}: ") for message in told), (typed, wrong, line, told)
        if any(message.startswith(f"run.yaml:{line}: ") and f"did you mean '{typed}'" in message for message in told):
            right += 1
        else:
            missed.append((typed, wrong, told))
    assert silent == []
    assert right >= 270, (right, missed)
