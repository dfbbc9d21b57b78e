"""The record of a run: plain values, complete, and without secrets."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from datetime import datetime

import pytest

from visioncore_engine import discover, resolve
from visioncore_engine.errors import DataError
from visioncore_engine.record import collect, from_json, git_state, to_json
from visioncore_engine.secrets import HIDDEN, hides_password, is_secret_key, redact, redact_command


@pytest.fixture
def record(write, good, registry, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["visioncore", "train", "run.yaml", "--set", "data.password=hunter22"])
    resolved = resolve(write(run=good), ["data.password=hunter22"], registry=registry)
    return collect(resolved, data={"m1_a": "abc"})


def test_a_record_is_plain_json_and_comes_back(record):
    assert from_json(to_json(record)) == record
    assert json.loads(json.dumps(record)) == record


def test_what_a_record_says(record, good):
    assert record["seed"] == 7
    assert record["name"] == "run"
    assert record["data"] == {"m1_a": "abc"}
    assert record["files"] == {"run.yaml": hashlib.sha256(good.encode()).hexdigest()}
    assert datetime.fromisoformat(record["started"]).tzinfo is not None
    assert record["machine"]["python"].startswith("3.")
    (plugin,) = record["plugins"]
    assert (plugin["name"], plugin["distribution"], plugin["version"], plugin["used"]) == (
        "fakes",
        "fake-lab",
        "1.2",
        True,
    )
    keys = [component["key"] for component in record["components"]]
    assert keys[:4] == ["data", "sampler", "model", "model.core.conv3d"]
    assert record["components"][0]["plugin"] == "fakes"


def test_no_secret_is_in_a_record(record):
    assert "hunter22" not in to_json(record)
    assert f"data.password={HIDDEN}" in record["command"]


def test_components_carry_the_hash_of_their_sources(site, installed, write):
    declared = """
        from visioncore_engine import Component, hookimpl

        @hookimpl
        def visioncore_loggers():
            yield Component(name="quiet", summary="", build="quiet_lab.parts:Quiet")
        """
    folder = site("quiet-lab", "2.0", {"quiet": "quiet_lab"}, '{"url": "file:///x", "dir_info": {"editable": true}}')
    package = folder / "quiet_lab"
    package.mkdir()
    (package / "__init__.py").write_text("\n".join(line[8:] for line in declared.splitlines()))
    (package / "parts.py").write_text("raise AssertionError('a record imports nothing')\n")
    registry = discover(entry_points=installed())
    assert registry.find("logger", "quiet")
    from visioncore_engine.record import _plugin, _sources

    expected = hashlib.sha256((package / "parts.py").read_bytes()).hexdigest()
    assert _sources("quiet_lab", "quiet_lab.parts:Quiet", "") == {"quiet_lab.parts": expected}
    assert _sources("quiet_lab", ":Quiet") == {
        "quiet_lab": hashlib.sha256((package / "__init__.py").read_bytes()).hexdigest()
    }
    assert _sources("quiet_lab", "no_such_package.parts:Quiet") == {"no_such_package.parts": None}
    found = _plugin(registry.plugins[0], used=False)
    assert found["direct_url"]["dir_info"] == {"editable": True}
    assert found["version"] == "2.0"


def test_the_state_of_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert git_state(tmp_path) is None

    def git(*arguments):
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "a.txt").write_text("1")
    git("add", "a.txt")
    git("commit", "-m", "one")
    clean = git_state(tmp_path)
    assert len(clean["commit"]) == 40
    assert (clean["branch"], clean["changed"]) == ("main", [])
    (tmp_path / "a.txt").write_text("2")
    assert git_state(tmp_path)["changed"] == ["a.txt"]
    monkeypatch.setenv("PATH", "")
    assert git_state(tmp_path) is None


@pytest.mark.parametrize("text", ["", "not json", "[1]", "3"])
def test_what_is_no_record_is_said_to_be_none(text):
    with pytest.raises(DataError, match=r"record\.json: not the record of a run"):
        from_json(text, "record.json")


@pytest.mark.parametrize(
    "key",
    ["api_key", "apikey", "API_KEY", "wandb_api_key", "token", "auth_token", "password", "db.password", "secret",
     "client_secret", "credentials", "access-key", "private_key", "passphrase", "pwd"],
)  # fmt: skip
def test_keys_of_secrets(key):
    assert is_secret_key(key)


@pytest.mark.parametrize(
    "key", ["num_tokens", "tokens", "class_token", "key", "keys", "monkey", "secretary", "author", "authors", "keep"]
)
def test_keys_that_only_look_alike(key):
    assert not is_secret_key(key)


@pytest.mark.parametrize(
    "argument",
    [
        "data.password=hunter22",
        "--set=data.password=hunter22",
        "loggers.wandb.api_key='hunter 22'",
        "data={name: x, password: hunter22}",
        '{"token": "hunter22"}',
        "https://user:hunter22@host/x",
        "{auth: hunter22, lr: 3}",
    ],
)
def test_no_secret_is_left_on_a_command_line(argument):
    (clean,) = redact_command([argument])
    assert HIDDEN in clean
    assert "hunter" not in clean
    assert redact_command(["sampler.batch_size=3", "x={num_tokens: 4}"]) == [
        "sampler.batch_size=3",
        "x={num_tokens: 4}",
    ]


def test_redaction_goes_everywhere_and_changes_nothing_else():
    content = {
        "token": "abc",
        "password": 1234,
        "api_key": None,
        "inner": [{"secret": "s"}, "https://user:pw@host/x", "https://host/x?y=1", "lr=5"],
        "password_": "kept",
        "n": 1.5,
        "b": True,
    }
    assert redact(content) == {
        "token": HIDDEN,
        "password": HIDDEN,
        "api_key": None,
        "inner": [{"secret": HIDDEN}, f"https://{HIDDEN}@host/x", "https://host/x?y=1", "lr=5"],
        "password_": "kept",
        "n": 1.5,
        "b": True,
    }
    assert hides_password("postgres://me:pw@host")
    assert not hides_password("https://host:8080/a@b")
    assert not hides_password(3)
