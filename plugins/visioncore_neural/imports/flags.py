"""Command lines of VisionCore's training scripts as the rest of a run file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from visioncore_engine.errors import Problem, UsageError, nearest
from visioncore_neural.imports.ledger import Ledger

__all__ = ["Flags", "run_of"]

_SWITCHES = {
    "enable_curriculum", "freeze_vision", "compile", "enable_logging", "homogeneous_batches", "early_stopping",
}  # fmt: skip
# What launch scripts call the flags of the trainer.
_SHORT = {"lr": "learning_rate", "wd": "weight_decay", "tag": "experiment_name", "project": "project_name"}
_FREE = "this engine decides it"
_LOST = {
    "compile": "models are not compiled here",
    "gpu_ids": "which devices a process sees is said by CUDA_VISIBLE_DEVICES",
    "gpu": "which devices a process sees is said by CUDA_VISIBLE_DEVICES",
    "num_workers": "a thread reads ahead: `loader.prefetch`",
    "checkpoint_dir": "checkpoints lie in the run folder: `run.dir`",
    "ckpt_path": "`visioncore train RUN.yaml --resume` continues a run",
    "model_type": "a source is named by its run folder: `transfer.from`",
    "model_index": "a source is named by its run folder: `transfer.from`",
}
# What is read with --enable_logging only.
_LOGGING = {
    "slow_log_interval": "evaluators run after training: `evaluate`",
    "log_dataset_idx": "evaluators see every session",
}
_BUDGETS = {"time_budget_minutes": 1.0, "time_budget": 60.0}  # minutes in one
_FLAGS = {
    "model_config", "model_configs", "dataset_configs_path", "max_datasets", "batch_size", "learning_rate",
    "core_lr_scale", "weight_decay", "max_epochs", "gradient_clip_val", "accumulate_grad_batches", "lr_scheduler",
    "warmup_epochs", "restart_period", "pretrained_checkpoint", "precision", "dset_dtype", "num_gpus",
    "steps_per_epoch", "project_name", "experiment_name", "early_stopping_patience", "early_stopping_min_delta",
    "limit_val_batches", "fast_log_interval", *_LOGGING, *_BUDGETS, *_SWITCHES, *_LOST,
}  # fmt: skip
_PRECISIONS = {"bf16": "bf16-mixed", "bf16-mixed": "bf16-mixed", "32": "32-true", "32-true": "32-true"}


class Flags:
    """A command line, parsed: values by name without dashes.

    Parameters
    ----------
    words
        What stood after the script's name.

    Raises
    ------
    UsageError
        For a word that is no flag of VisionCore's scripts, or a flag without its value.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.values: dict[str, Any] = {}
        rest = list(words)
        problems = []
        while rest:
            word, equals, value = rest.pop(0).partition("=")
            name = word.removeprefix("--").replace("-", "_")
            name = _SHORT.get(name, name)
            if not word.startswith("--") or name not in _FLAGS:
                close = nearest(name, _FLAGS)
                todo = f"did you mean '--{close}'?" if close else ""
                problems.append(Problem(what="no flag of VisionCore's training scripts", given=repr(word), todo=todo))
            elif name in _SWITCHES and not equals:
                self.values[name] = True
            elif not equals and (not rest or rest[0].startswith("--")):
                problems.append(Problem(what=f"{word} needs a value"))
            else:
                self.values[name] = value if equals else rest.pop(0)
                while name in ("gpu_ids", "model_configs") and rest and not rest[0].startswith("--"):
                    self.values[name] += f",{rest.pop(0)}"
        if problems:
            raise UsageError(*problems)

    def number(self, name: str, default: float) -> float:
        """Value of a flag as a number.

        Raises
        ------
        UsageError
            Where it is none.
        """
        given = self.values.get(name, default)
        try:
            return float(given)
        except ValueError:
            raise UsageError(Problem(what=f"--{name} is a number", given=repr(given))) from None

    def count(self, name: str, default: int) -> int:
        """Value of a flag as a whole number."""
        return int(self.number(name, default))

    def text(self, name: str, default: str) -> str:
        """Value of a flag as it stands."""
        return str(self.values.get(name, default))


def run_of(flags: Flags, ledger: Ledger) -> dict[str, Any]:
    """Blocks of a run file that a command line decides."""
    values = flags.values
    accumulate = flags.count("accumulate_grad_batches", 1)
    single = "gpu" in values or "homogeneous_batches" in values
    ids = [word for word in re.split(r"[,\s]+", flags.text("gpu_ids", "")) if word]
    devices = 1 if single else flags.count("num_gpus", len(ids) or 2)
    steps = max(1, flags.count("steps_per_epoch", 1000) // accumulate)
    sampler: dict[str, Any] = {"name": "by_session" if single else "shuffled"}
    if values.get("enable_curriculum"):
        ramp = {"schedule": "ramp", "start": 0.0, "stop": 1.0, "steps": 8000.0}
        sampler = {"name": "contrast_weighted", "warmup": ramp}
        ledger.changed["--enable_curriculum"] = (
            "the curriculum was not read or did not advance in most launches; it does"
        )
    sampler |= {
        "batch_size": flags.count("batch_size", 64) * devices * accumulate,
        "batches_per_epoch": steps,
    }
    if not single and values.get("homogeneous_batches"):
        ledger.idle["--homogeneous_batches"] = "it is ignored on several devices"
    run: dict[str, Any] = {
        "sampler": sampler,
        "loss": {"name": "poisson", "weighting": "samples" if single else "sessions"},
        "metrics": ["bits_per_spike"],
        "optimizer": {
            "name": "adamw",
            "lr": flags.number("learning_rate", 1e-4),
            "weight_decay": flags.number("weight_decay", 1e-5),
            "clip": flags.number("gradient_clip_val", 1.0),
            "accumulate": accumulate,
        },
        "checkpoint": {"keep": 3, "monitor": "val/bits_per_spike", "mode": "max"},
        "trainer": {
            "max_epochs": flags.count("max_epochs", 100),
            "precision": _precision(flags, ledger),
            "devices": devices,
        },
        "loader": _loader(flags, ledger),
        "loggers": ["csv", "jsonl", *_wandb(flags)],
        "callbacks": [*_stopping(flags), *_budget(flags, ledger), *_logging(flags, ledger)],
        "scheduler": _scheduler(flags, steps, ledger),
        "transfer": _transfer(flags, ledger),
        "run": {"name": re.sub(r"[^A-Za-z0-9_.+=-]", "-", flags.text("experiment_name", ""))},
    }
    for name, why in _LOST.items():
        if name in values:
            ledger.lost[f"--{name}"] = why
    if "core_lr_scale" in values:
        ledger.idle["--core_lr_scale"] = "the rate was read before it was set; `optimizer.groups` scales rates here"
    return {key: value for key, value in run.items() if value not in (None, [], {}, {"name": ""})}


def _precision(flags: Flags, ledger: Ledger) -> str:
    given = flags.text("precision", "bf16")
    if given not in _PRECISIONS:
        ledger.changed["--precision"] = f"with {given} no weight was ever updated; bf16-mixed stands in for it"
    return _PRECISIONS.get(given, "bf16-mixed")


def _loader(flags: Flags, ledger: Ledger) -> dict[str, Any]:
    dtype = {"uint8": "stored"}.get(flags.text("dset_dtype", "uint8"), flags.text("dset_dtype", "uint8"))
    loader: dict[str, Any] = {"dtype": dtype}
    if "limit_val_batches" in flags.values:
        part = flags.number("limit_val_batches", 1.0)
        if 0 < part <= 1:
            loader["validation_fraction"] = part
            ledger.changed["--limit_val_batches"] = "the same windows are scored each time here"
        else:
            ledger.lost["--limit_val_batches"] = "say which fraction is scored: `loader.validation_fraction`"
    return loader


def _wandb(flags: Flags) -> list[dict[str, Any]]:
    project = flags.values.get("project_name")
    return [] if project is None else [{"name": "wandb", "project": str(project)}]


def _stopping(flags: Flags) -> list[dict[str, Any]]:
    if "early_stopping_patience" not in flags.values:
        return []
    return [
        {
            "name": "early_stopping",
            "patience": flags.count("early_stopping_patience", 10),
            "min_delta": flags.number("early_stopping_min_delta", 0.0),
        }
    ]


def _budget(flags: Flags, ledger: Ledger) -> list[dict[str, Any]]:
    given = [name for name in _BUDGETS if name in flags.values]
    for name in given:
        ledger.changed[f"--{name}"] = (
            "the steps that fit are counted anew after each validation; there once, after 25 steps, and beyond "
            "--max_epochs too"
        )
    minutes = min((flags.number(name, 0.0) * _BUDGETS[name] for name in given), default=0.0)
    return [{"name": "time_budget", "minutes": minutes, "shorten": True}] if minutes > 0 else []


def _logging(flags: Flags, ledger: Ledger) -> list[dict[str, Any]]:
    if not flags.values.get("enable_logging"):
        for name in ("fast_log_interval", *_LOGGING):
            if name in flags.values:
                ledger.idle[f"--{name}"] = "without --enable_logging it is not read"
        return []
    ledger.changed["--enable_logging"] = "kernels and masks are drawn; evaluators run after training: `evaluate`"
    for name, why in _LOGGING.items():
        if name in flags.values:
            ledger.lost[f"--{name}"] = why
    return [{"name": "model_logging", "every": max(1, flags.count("fast_log_interval", 5))}]


def _scheduler(flags: Flags, steps: int, ledger: Ledger) -> dict[str, Any] | None:
    name = flags.text("lr_scheduler", "none")
    warmup = max(1, flags.count("warmup_epochs", 5) * steps)
    epochs = flags.count("max_epochs", 100)
    if not name.startswith("cosine_warmup"):
        for flag in ("warmup_epochs", "restart_period"):
            if flag in flags.values:
                ledger.idle[f"--{flag}"] = f"--lr_scheduler {name} does not read it"
    if name == "cosine_warmup_restart":
        period = flags.values.get("restart_period")
        cycle = (
            flags.count("restart_period", 0) if period is not None else (epochs - flags.count("warmup_epochs", 5)) // 2
        )
        return {"name": "warmup_cosine_restarts", "warmup_steps": warmup, "cycle_steps": max(1, cycle * steps)}
    made: dict[str, dict[str, Any] | None] = {
        "none": None,
        "step": {"name": "step", "gamma": 0.5, "every": 30, "unit": "epochs"},
        "plateau": {"name": "plateau", "gamma": 0.5, "patience": 3},
        "cosine": {"name": "cosine"},
        "cosine_warmup": {"name": "warmup_cosine", "warmup_steps": warmup},
    }
    if name not in made:
        todo = f"one of {', '.join([*made, 'cosine_warmup_restart'])}"
        raise UsageError(Problem(what="--lr_scheduler names no scheduler of VisionCore", given=repr(name), todo=todo))
    return made[name]


def _transfer(flags: Flags, ledger: Ledger) -> dict[str, Any] | None:
    source = flags.values.get("pretrained_checkpoint")
    if source is None:
        if flags.values.get("freeze_vision"):
            ledger.idle["--freeze_vision"] = "without --pretrained_checkpoint it is not read"
        return None
    ledger.idle["--pretrained_checkpoint"] = "it loaded nothing; carried over as what it was meant to do"
    if flags.values.get("freeze_vision"):
        ledger.idle["--freeze_vision"] = "it froze random weights; carried over as what it was meant to do"
    frozen = {"freeze": ["core"]} if flags.values.get("freeze_vision") else {}
    return {"from": str(source), "parts": ["core"], **frozen}
