from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread, imsave

from visioncore_common.loggers.wandb import Wandb
from visioncore_common.loggers.wandb_run import has_credentials, private_settings
from visioncore_common.options.logger import WandbOptions
from visioncore_common.redaction import redact
from visioncore_engine.contracts import LoggerFacts

SECRET = "SEKRIT123"


class FakeRun:
    def __init__(self):
        self.logged, self.exit_code = [], None

    def log(self, data):
        self.logged.append(data)

    def finish(self, exit_code=None):
        self.exit_code = exit_code


class Server:
    """Opens fake runs; fails in the modes that are `down`."""

    def __init__(self, *down, error=ConnectionError):
        self.down, self.error, self.opened, self.run = down, error, [], FakeRun()

    def __call__(self, options, facts, run_id, mode):
        self.opened.append((run_id, mode))
        if mode in self.down:
            raise self.error("no network")
        return self.run


def logger_of(server, tmp_path, resume_id=None, **options):
    return Wandb(WandbOptions(**options), LoggerFacts(tmp_path, "run", {}, resume_id), server)


def test_what_is_logged_arrives_in_order_over_step_and_the_run_is_closed(tmp_path):
    server = Server()
    logger = logger_of(server, tmp_path)
    for step in range(100):
        logger.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
    logger.finalize("success")
    assert server.run.logged == [{"step": step, "train/loss": 1.0 / (step + 1)} for step in range(100)]
    assert server.run.exit_code == 0


def test_a_failed_training_is_marked_as_failed(tmp_path):
    server = Server()
    logger = logger_of(server, tmp_path)
    logger.log_metrics({"a": 1.0}, 1)
    logger.finalize("failed")
    logger.finalize("failed")
    assert server.run.exit_code == 1


def test_the_id_survives_a_resume(tmp_path):
    first, server = logger_of(Server(), tmp_path), Server()
    second = logger_of(server, tmp_path, first.resume_id)
    second.log_metrics({"a": 1.0}, 1)
    second.finalize("success")
    assert server.opened == [(first.resume_id, "online")]
    assert logger_of(Server(), tmp_path).resume_id != first.resume_id


@pytest.mark.parametrize(("error", "suffix"), [(ConnectionError, "-offline"), (PermissionError, "")])
def test_f32_online_without_a_network_warns_once_and_goes_on_offline(error, suffix, tmp_path, caplog):
    server = Server("online", error=error)
    logger = logger_of(server, tmp_path)
    for step in range(5):
        logger.log_metrics({"a": 1.0}, step)
    logger.finalize("success")
    assert server.opened == [(logger.resume_id, "online"), (logger.resume_id + suffix, "offline")]
    assert len(server.run.logged) == 5
    assert len(caplog.records) == 1
    assert "going on offline" in caplog.text


def test_where_nothing_works_the_engine_hears_of_it(tmp_path, caplog):
    logger = logger_of(Server("online", "offline"), tmp_path)
    with pytest.raises(ConnectionError, match="no network"):
        logger.log_metrics({"a": 1.0}, 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    logger.finalize("failed")


def test_a_run_that_ends_at_once_is_waited_for(tmp_path):
    assert logger_of(Server(), tmp_path, timeout=10).patience >= 20


def test_disabled_does_nothing(tmp_path):
    server = Server()
    logger = logger_of(server, tmp_path, mode="disabled")
    logger.log_metrics({"a": 1.0}, 1)
    logger.log_pictures({"kernels": tmp_path / "absent.png"}, 1)
    logger.finalize("success")
    assert server.opened == []


def test_the_settings_that_keep_things_private_exist_in_the_installed_version():
    wandb = pytest.importorskip("wandb")
    assert set(private_settings(1.0)) <= set(wandb.Settings.model_fields)


PROGRAM = """
import sys
from pathlib import Path
from visioncore_common.loggers.wandb import Wandb
from visioncore_common.options.logger import WandbOptions
from visioncore_engine.contracts import LoggerFacts
config = {"data": {"api_key": "SEKRIT123", "url": "https://me:SEKRIT123@host/x", "deep": [{"password": "SEKRIT123"}]}}
options = WandbOptions(mode=sys.argv[1], timeout=1.0, tags=("a",), group="g")
logger = Wandb(options, LoggerFacts(Path(sys.argv[2]), "run", config))
for step in range(20):
    logger.log_metrics({"train/loss": 1.0 / (step + 1)}, step)
picture = Path(sys.argv[2]) / "kernels.png"
if picture.exists():
    logger.log_pictures({"pictures/kernels": picture}, 10)
logger.finalize("success")
"""


def run_wandb(mode, folder, **environment):
    pytest.importorskip("wandb")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB") and name != "NETRC"}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, mode, str(folder)],
        env={**kept, "HOME": str(folder), "SEKRIT": SECRET, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def assert_no_secret(folder):
    assert not [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_real_offline_run_needs_no_account_and_no_network_and_keeps_pictures(tmp_path):
    imsave(tmp_path / "kernels.png", np.linspace(0, 1, 48).reshape(4, 4, 3))
    done = run_wandb("offline", tmp_path)
    (shown,) = (tmp_path / "wandb").glob("offline-run-*/files/media/images/pictures/kernels_*.png")
    assert (imread(shown) == imread(tmp_path / "kernels.png")).all()
    (run,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert run.read_bytes().count(b"train/loss") >= 20
    assert done.stdout == ""
    assert_no_secret(tmp_path)


def test_f32_a_real_online_run_against_a_dead_address_ends_up_offline(tmp_path):
    done = run_wandb("online", tmp_path, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY="x" * 40)
    (run,) = (tmp_path / "wandb").glob("offline-run-*/*.wandb")
    assert run.read_bytes().count(b"train/loss") >= 20
    assert "going on offline" in done.stderr
    assert_no_secret(tmp_path)


def test_secrets_are_hidden_and_words_that_only_look_like_them_are_not():
    config = {
        "wandb": {"api_key": SECRET, "entity": "lab"},
        "use_cls_token": True,
        "num_memory_tokens": 4,
        "token": SECRET,
        "nested": [{"AUTH_TOKEN": SECRET}, {"db.password": SECRET}],
        "url": f"s3://{SECRET}:{SECRET}@host/path",
        "secret": None,
    }
    hidden = redact(config)
    assert SECRET not in str(hidden)
    assert (hidden["use_cls_token"], hidden["num_memory_tokens"], hidden["wandb"]["entity"]) == (True, 4, "lab")
    assert hidden["url"] == "s3://<hidden>@host/path"


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)))
def test_everything_else_stays_as_it_is(value):
    assert redact(value) == value


@pytest.mark.parametrize("tags", [("",), ("x" * 65,)])
def test_tags_that_the_server_would_refuse_are_refused_before(tags):
    with pytest.raises(ValueError, match="1 to 64 characters"):
        WandbOptions(tags=tags)


@pytest.mark.parametrize(
    ("environment", "netrc", "found"),
    [
        ({}, None, False),
        ({"WANDB_API_KEY": "x"}, None, True),
        ({"WANDB_IDENTITY_TOKEN_FILE": "x"}, None, True),
        ({}, "machine api.wandb.ai login user password x", True),
        ({}, "machine elsewhere.org login user password x", False),
        ({"WANDB_BASE_URL": "https://elsewhere.org:8080/api"}, "machine elsewhere.org login user password x", True),
        ({}, "this is not the format", False),
    ],
)
def test_credentials_are_looked_for_where_wandb_keeps_them_and_never_asked_for(
    environment, netrc, found, tmp_path, monkeypatch
):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL", "NETRC"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    if netrc is not None:
        (tmp_path / ".netrc").write_text(netrc)
        (tmp_path / ".netrc").chmod(0o600)
    assert has_credentials() is found
