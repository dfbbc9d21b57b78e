"""Opening a run of Weights & Biases without a question, a secret or a wait."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import urlsplit

from visioncore_common.options.logger import WandbOptions
from visioncore_common.redaction import redact
from visioncore_engine.contracts import LoggerFacts

__all__ = ["Mode", "Run", "has_credentials", "open_run", "private_settings"]

Mode = Literal["online", "offline"]


class Run(Protocol):
    """What we use of `wandb.Run`."""

    def log(self, data: dict[str, Any]) -> None:
        """Log values."""
        ...

    def finish(self, exit_code: int | None = None) -> None:
        """Close the run."""
        ...


def private_settings(timeout: float) -> dict[str, Any]:
    """Keep the command line, environment, source and machine to ourselves, and bound every wait."""
    return {
        "console": "off",
        "disable_code": True,
        "disable_git": True,
        "disable_job_creation": True,
        "finish_timeout": timeout,
        "init_timeout": timeout,
        "login_timeout": 1.0,
        "save_code": False,
        "silent": True,
        "x_disable_machine_info": True,
        "x_disable_meta": True,
        "x_disable_stats": True,
        "x_save_requirements": False,
    }


def open_run(options: WandbOptions, facts: LoggerFacts, run_id: str, mode: Mode) -> Run:
    """Open or continue a run.

    Raises
    ------
    Exception
        Whatever wandb raises where the server does not answer in time.
    """
    import wandb

    if mode == "online" and not has_credentials():
        raise PermissionError("there are no credentials; `wandb login`, or set WANDB_API_KEY")
    known = wandb.Settings.model_fields
    settings = {name: value for name, value in private_settings(options.timeout).items() if name in known}
    facts.run_dir.mkdir(parents=True, exist_ok=True)
    run = wandb.init(
        project=options.project,
        entity=options.entity,
        group=options.group,
        tags=list(options.tags) or None,
        name=facts.run_name,
        config=redact(facts.config),
        dir=str(facts.run_dir),
        id=run_id,
        mode=mode,
        resume="allow" if mode == "online" else None,  # offline there is nothing to look up; the id is the same
        reinit="create_new",  # a run that the user opened in this process stays as it is
        settings=wandb.Settings(**settings),
    )
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    opened: Run = run
    return opened


def has_credentials() -> bool:
    """Tell whether wandb would find a key without asking for one at the terminal."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    paths = [os.environ["NETRC"]] if "NETRC" in os.environ else ["~/.netrc", "~/_netrc"]
    for path in (Path(path).expanduser() for path in paths):
        try:
            if path.is_file() and netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):  # unreadable is the same as absent: wandb will not read it either
            continue
    return False
