"""Parameters by name: patterns, groups, and what weighs alike in a loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn

from visioncore_engine.contracts import Index, ParameterGroup
from visioncore_engine.errors import ConfigError, Problem, nearest
from visioncore_engine.options import OptimizerOptions

__all__ = ["group_parameters", "loss_coefficients", "match_parameters"]


def match_parameters(
    patterns: Iterable[str], parameters: Mapping[str, nn.Parameter], key: str
) -> dict[str, nn.Parameter]:
    """Parameters that any of the patterns matches, in the model's order.

    Parameters
    ----------
    patterns
        Shell-style patterns over full names; ``*`` also matches dots.
    parameters
        Parameters of the model by full name.
    key
        Where the patterns stand in the run file.

    Raises
    ------
    ConfigError
        For every pattern that matches nothing.
    """
    patterns = tuple(patterns)
    problems = [
        Problem(
            what="pattern matches no parameter",
            key=key,
            given=repr(pattern),
            todo=_advice(pattern, parameters),
        )
        for pattern in patterns
        if not any(fnmatchcase(name, pattern) for name in parameters)
    ]
    if problems:
        raise ConfigError(*problems)
    return {
        name: parameter
        for name, parameter in parameters.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }


def _advice(pattern: str, parameters: Mapping[str, nn.Parameter]) -> str:
    close = nearest(pattern, parameters)
    shown = list(parameters)[:6]
    names = ", ".join(shown) + (f", … ({len(parameters)} in all)" if len(parameters) > len(shown) else "")
    return (f"did you mean {close!r}? " if close else "") + f"parameters are: {names}"


def group_parameters(model: nn.Module, options: OptimizerOptions) -> tuple[ParameterGroup, ...]:
    """Parameter groups of an optimizer: one rate and one decay each, every trainable parameter in exactly one.

    Parameters with fewer than two dimensions, or matched by `no_decay`, form a sibling group without decay.

    Raises
    ------
    ConfigError
        For a pattern that matches nothing, or a parameter that two groups match.
    """
    parameters = dict(model.named_parameters())
    undecayed = set(match_parameters(options.no_decay, parameters, "optimizer.no_decay"))
    owner: dict[str, str] = {}
    for group_name, group in options.groups.items():
        for name in match_parameters(group.match, parameters, f"optimizer.groups.{group_name}.match"):
            if name in owner:
                raise ConfigError(
                    Problem(
                        what=f"parameter {name!r} is matched by the groups {owner[name]!r} and {group_name!r}",
                        key=f"optimizer.groups.{group_name}.match",
                        todo="make the patterns disjoint",
                    )
                )
            owner[name] = group_name
    built: dict[str, tuple[dict[str, nn.Parameter], float, float]] = {}
    for name, parameter in parameters.items():
        if not parameter.requires_grad:
            continue
        group_name = owner.get(name, "rest")
        choice = options.groups.get(group_name)
        lr = options.lr * (choice.lr_scale if choice else 1.0)
        decay = options.weight_decay if choice is None or choice.weight_decay is None else choice.weight_decay
        if decay and (parameter.ndim < 2 or name in undecayed):
            group_name, decay = f"{group_name}/no_decay", 0.0
        built.setdefault(group_name, ({}, lr, decay))[0][name] = parameter
    return tuple(ParameterGroup(name, members, lr, decay) for name, (members, lr, decay) in built.items())


def loss_coefficients(weighting: str, index: Index) -> tuple[dict[str, Tensor], ...]:
    """Fixed coefficients c_g of each group and task, so that what `weighting` names weighs alike.

    With W_gu the valid training values of column u in group g: ``samples`` gives 1; a label gives
    1 / sum of W over the groups that share the label; the word for columns gives 1 / W_gu. Coefficients are scaled so
    that the total weight of the training set stays the same.

    Returns
    -------
    Per group: task -> float64 (N,) or (1,).

    Raises
    ------
    ConfigError
        Where the data have no such label.
    """
    words = {target.columns for group in index.groups for target in group.targets.values() if target.columns}
    labels = {label for group in index.groups for label in group.labels}
    allowed = ["samples", *sorted(labels | words)]
    if weighting not in allowed:
        close = nearest(weighting, allowed)
        raise ConfigError(
            Problem(
                what=f"these data can be weighted by {', '.join(allowed)}",
                key="loss.weighting",
                given=repr(weighting),
                todo=f"did you mean {close!r}?" if close else "choose one of them",
            )
        )
    totals = [{task: np.asarray(w, dtype=np.float64) for task, w in group.items()} for group in index.column_weights]
    if weighting == "samples":
        raw = [{task: np.ones(1) for task in group} for group in totals]
    elif weighting in words:
        raw = [{task: _inverse(w) for task, w in group.items()} for group in totals]
    else:
        mass: dict[tuple[str, str], float] = {}
        for group, total in zip(index.groups, totals, strict=True):
            for task, w in total.items():
                key = (group.labels[weighting], task)
                mass[key] = mass.get(key, 0.0) + float(w.sum())
        raw = [
            {task: _inverse(np.array([mass[group.labels[weighting], task]])) for task in total}
            for group, total in zip(index.groups, totals, strict=True)
        ]
    weighed = sum(float((r[t] * w).sum()) for r, total in zip(raw, totals, strict=True) for t, w in total.items())
    plain = sum(float(w.sum()) for total in totals for w in total.values())
    scale = plain / weighed if weighed else 1.0
    return tuple({task: torch.from_numpy(r * scale) for task, r in group.items()} for group in raw)


def _inverse(weight: np.ndarray) -> np.ndarray:
    # A column without a valid value has no say, whatever its coefficient: 0 keeps it finite.
    return np.asarray(np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0))
