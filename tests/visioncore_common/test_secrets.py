"""Secrets are planted in five places of a run; none of them is in what the run leaves or says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import toy_plugin
from hypothesis import given
from hypothesis import strategies as st

from visioncore_engine import resolve
from visioncore_engine.errors import ConfigError
from visioncore_engine.launch.entry import enter
from visioncore_engine.secrets import hidden_keys, redact

PLUGIN = """
from typing import Any

import pytorch_lightning as pl
from pydantic import Field

from visioncore_engine import Component, hookimpl
from visioncore_engine.options import Options


class KeeperOptions(Options):
    password: str = Field("", description="of the data")
    api_key: str = Field("", description="of a service")
    url: str = Field("", description="of a service")
    deep: tuple[dict[str, str], ...] = Field((), description="anything")


class Keeper(pl.Callback):
    def __init__(self, options, facts):
        assert (options.password, options.api_key) == ("{config}", "{argv}")
        assert "{url}" in options.url
        assert options.deep[0]["token"] == "{nested}"


@hookimpl
def visioncore_callbacks():
    yield Component(name="keeper", summary="has secrets", options=":KeeperOptions", build=":Keeper")
"""
RUN = """
data: {{name: toy, num_groups: 1}}
sampler: {{name: toy_random, batch_size: 8, batches_per_epoch: 3}}
model: toy_linear
loss: toy_squared
optimizer: {{name: toy_adamw, lr: 0.01}}
callbacks:
  - name: keeper
    password: {config}
    url: "https://me:{url}@host/path"
    deep: [{{token: {nested}}}]
loggers: [csv, jsonl, tensorboard, {{name: wandb, mode: offline}}]
trainer: {{max_epochs: 1, log_every_n_steps: 1, accelerator: cpu}}
"""
SECRETS = {place: f"SEKRIT-{place}-4711" for place in ("config", "nested", "url", "argv", "environment")}


def plant(home):
    (home / "plugin.py").write_text(
        PLUGIN.replace("{config}", SECRETS["config"])
        .replace("{argv}", SECRETS["argv"])
        .replace("{url}", SECRETS["url"])
        .replace("{nested}", SECRETS["nested"])
    )
    (home / "run.yaml").write_text(RUN.format(**SECRETS))


def command(home, *sets):
    plant(home)
    support = Path(toy_plugin.__file__)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    environment = {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(support.parent), os.environ.get("PYTHONPATH", "")]),
        "OMP_NUM_THREADS": "1",
        "HOME": str(home),
        "SERVICE_TOKEN": SECRETS["environment"],
        "WANDB_API_KEY": SECRETS["environment"],
    }
    words = ["run.yaml", "--plugin", str(support), "--plugin", "plugin.py"]
    for item in (f"callbacks.keeper.api_key={SECRETS['argv']}", "run.dir=run", *sets):
        words += ["--set", item]
    return subprocess.run(
        [sys.executable, "-c", "from visioncore_engine.cli import main; raise SystemExit(main())", "train", *words],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def found_in(folder):
    return [
        (path.relative_to(folder).as_posix(), place)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        for place, secret in SECRETS.items()
        if secret.encode() in path.read_bytes()
    ]


@pytest.mark.parametrize("processes", [1, 2])
def test_five_planted_secrets_are_nowhere_in_the_run_folder(tmp_path, processes):
    pytest.importorskip("wandb")
    pytest.importorskip("tensorboard")
    done = command(tmp_path, f"trainer.devices={processes}")
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    assert list((run / "wandb").glob("offline-run-*/*.wandb"))
    assert list((run / "tensorboard").iterdir())
    assert found_in(run) == []
    assert not any(secret in done.stdout + done.stderr for secret in SECRETS.values())
    # what is hidden is said to be there
    assert "<hidden>" in (run / "run.yaml").read_text()
    if processes == 1:
        assert any("<hidden>" in word for word in json.loads((run / "record.json").read_text())["command"])


def test_c36_secrets_in_the_options_of_a_logger_are_refused(tmp_path):
    done = command(tmp_path, f"loggers.wandb.entity=https://me:{SECRETS['config']}@host")
    assert done.returncode == 2
    assert "loggers.wandb.entity" in done.stderr
    assert SECRETS["config"] not in done.stdout + done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_file_whose_secrets_are_hidden_is_refused_until_they_are_given_again(tmp_path):
    plant(tmp_path)
    plugins = [toy_plugin.__file__, tmp_path / "plugin.py"]
    first = resolve([tmp_path / "run.yaml"], plugin_files=plugins)
    written = tmp_path / "written.yaml"
    written.write_text(first.to_yaml())
    with pytest.raises(ConfigError) as refused:
        enter(resolve([written], plugin_files=plugins), resume=False, quiet=True, count_gpus=lambda: 0)
    for key in ("password", "url", "deep"):
        assert f"callbacks.keeper.{key}: this value was hidden when the run was written; give" in str(refused.value)
    again = resolve([written], first.secrets(), plugin_files=plugins)
    assert again.run.model_dump() == first.run.model_dump()


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5) | st.just("https://a:b@c"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["a", "b", "password", "x.token"]), inner, max_size=3)
        ),
    )
)
def test_what_is_hidden_is_found_and_nothing_else(value):
    tree = {"top": value}
    hidden = redact(tree)
    found = hidden_keys(hidden)
    assert bool(found) == ("<hidden>" in json.dumps(hidden))
    for key in found:  # giving each of them again gives the whole again
        place, source, (*above, last) = hidden, tree, key.split(".")
        for part in above:
            place, source = place[part], source[part]
        place[last] = source[last]
    assert hidden == tree
