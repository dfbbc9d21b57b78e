"""VisionCore's `sampling`, `datafilters` and `transforms` as preparations of a run file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from visioncore_neural.imports.layers import temporal_basis
from visioncore_neural.imports.ledger import Block

__all__ = ["preparations_of"]

Preparation = dict[str, Any]

_TABLE = "missing_pct.csv"
_UNITS = "units are chosen by id here: preparation `select_units` or `data.units`"
_ELSEWHERE = {
    "select_units": _UNITS,
    "dacones": "adaptation is a stage of the model here: `dynamical_adaptation` of `model.core`",
    "mul": "no preparation multiplies here, and the first weights make up for it",
}
_LAYOUT = ("unsqueeze", "cast")  # arrangement and dtype of arrays are settled here


def preparations_of(block: Block) -> list[Preparation]:
    """What `data.prepare` holds, in the order in which it runs.

    Parameters
    ----------
    block
        The file of datasets.
    """
    sampling = block.block("sampling")
    rates = sampling.take("source_rate"), sampling.take("target_rate")
    # Tables of missing spikes count the frames of the recording, so they come before frames are put together.
    made = [*_filters(block.block("datafilters")), *_sampling(sampling, *rates)]
    rate = rates[1] or rates[0]
    made += _transforms(block.block("transforms"), None if rate is None else float(rate))
    return _told_apart(made)


def _told_apart(made: list[Preparation]) -> list[Preparation]:
    """Give an id to each that is there already by its name."""
    names: Counter[str] = Counter()
    result = []
    for one in made:
        names[one["name"]] += 1
        number = names[one["name"]]
        result.append(one if number == 1 else {**one, "id": f"{one['name']}_{number}"})
    return result


def _sampling(block: Block, source: Any, target: Any) -> list[Preparation]:
    block.close()
    if source is None or target is None or source == target:
        return []
    factor = float(source) / float(target)
    if factor < 2 or factor != int(factor):
        block.lose("frames become fewer by whole factors from 2 on", "source_rate", "target_rate")
        return []
    block.change(
        f"recordings are taken to have {source} frames per second; a response counts where all frames that it is made "
        "of count",
        "target_rate",
    )
    return [{"name": "downsample", "factor": int(factor), "stim": "first", "behavior": "mean", "eyepos": "mean",
             "valid": "all"}]  # fmt: skip


def _filters(block: Block) -> list[Preparation]:
    made: list[Preparation] = []
    for inner in _inner(block):
        for one, kind in _operations(inner):
            if kind == "valid_nlags":
                one.change("which frames can be predicted follows from the history that the model needs", "n_lags")
            elif kind == "missing_pct":
                made.append({"name": "missing_pct", "table": _TABLE, "threshold": float(one.take("threshold", 45.0))})
                block.ledger.changed[one.key] = (
                    f"write {_TABLE} (see `visioncore show missing_pct`), or leave this out where `valid` of the "
                    "recordings knows; units of many cells are masked too here"
                )
            else:
                block.ledger.lost[one.key] = "there is no such filter here"
            one.close()
        for key in ("expose_as", "keys_lags"):
            inner.take(key)
        inner.close()
    return made


def _inner(block: Block) -> Iterator[Block]:
    for name in list(block._content):  # noqa: SLF001 - every key, whatever it is called
        yield block.block(str(name))


def _operations(block: Block) -> Iterator[tuple[Block, str]]:
    """Options of each operation of a list, and its name."""
    for number, given in enumerate(block.take("ops", [])):
        kind, options = next(iter(given.items())) if isinstance(given, dict) and given else (str(given), {})
        if isinstance(options, list):  # a list of mappings is meant as one
            options = {key: value for part in options if isinstance(part, dict) for key, value in part.items()}
        elif not isinstance(options, dict):
            options = {_BARE.get(str(kind), "value"): options}
        yield Block(options, f"{block.key}.ops.{number}.{kind}", block.ledger), str(kind)


# What a number alone stands for.
_BARE = {"mul": "factor", "smooth": "params", "unsqueeze": "axis", "cast": "dtype"}


@dataclass
class _Chain:
    """Operations on one array: which, and the names of its channels where it is some of behavior."""

    of: str
    channels: list[str]
    rate: float | None

    def block(self, name: str, **options: Any) -> Preparation:
        made: Preparation = {"name": name, "of": self.of, **options}
        return made if self.channels == ["*"] else {**made, "channels": list(self.channels)}


def _transforms(block: Block, rate: float | None) -> list[Preparation]:
    chains: list[tuple[bool, list[Preparation]]] = []
    taken: set[str] = set()  # what has become behavior: a second one would have the same names
    for inner in _inner(block):
        operations = [(one, kind) for one, kind in _operations(inner) if kind not in _LAYOUT]
        source = str(inner.take("source", inner.key.rpartition(".")[2]))
        target = str(inner.take("expose_as", source))
        for key in ("concatenate", "keys_lags"):
            inner.take(key)
        inner.close()
        moved = (source, target) == ("eyepos", "behavior")
        if moved:
            chain = _as_behavior(inner, operations, rate, taken)
        elif source == target and source in ("stim", "behavior", "eyepos"):
            chain = (_Chain(source, ["*"], rate), [])
        else:
            chain = None
            _unchanged(inner, operations, source, target)
        if chain is not None:
            state, made = chain
            for one, kind in operations[1 if moved else 0 :]:
                made += _operation(one, kind, state)
            chains.append((moved, made))
    # Behavior first, before channels that are made of the eye position join it.
    return [one for _, made in sorted(chains, key=lambda item: item[0]) for one in made]


def _unchanged(inner: Block, operations: list[tuple[Block, str]], source: str, target: str) -> None:
    """Say what becomes of a transform that has no preparation."""
    rest = [kind for one, kind in operations if kind != "select_units" or one.take("indices") != "cids"]
    if not rest and source == "robs" and target in ("robs", "history"):
        if operations:
            inner.ledger.changed[inner.key] = "units of a session are those that its recording names"
    else:
        inner.ledger.lost[inner.key] = (
            _UNITS
            if set(rest) == {"select_units"}
            else f"nothing here makes {target!r} of {source!r} by its operations"
        )


def _as_behavior(
    inner: Block, operations: list[tuple[Block, str]], rate: float | None, taken: set[str]
) -> tuple[_Chain, list[Preparation]] | None:
    """Begin a chain from the eye position to behavior: only some operations add channels."""
    one, kind = operations[0] if operations else (inner, "")
    names = {"": "past", "temporal_basis": "past", "diff": "velocity"}
    if kind not in names or names[kind] in taken:
        known = "twice" if kind in names else f"by {kind!r}"
        inner.ledger.lost[inner.key] = f"the eye position does not become behavior {known} here; see `velocity`"
        return None
    taken.add(names[kind])
    if kind == "diff":
        whole = _along_time(one)
        one.close()
        if not whole:
            return None
        inner.ledger.changed[one.key] = "per second, and 0 where a trial or split begins"
        return _Chain("behavior", ["eye_*_velocity"], rate), [{"name": "velocity", "of": "eyepos"}]
    if kind == "":  # as it is: the frame itself
        itself = {"kernel_size": 1, "num_deltas": 1, "num_cosines": 0, "normalize": "none"}
        return _Chain("behavior", [], rate), [{"name": "temporal_basis", "of": "eyepos", **itself}]
    state = _Chain("eyepos", ["*"], rate)
    made = _operation(one, kind, state)
    state.of, state.channels = "behavior", [f"eye_*{name.removeprefix('*')}" for name in state.channels]
    return state, made


def _operation(one: Block, kind: str, chain: _Chain) -> list[Preparation]:
    """Preparations of one operation; the chain goes on with what they make of its channels."""
    if kind in _KNOWN:
        made = _KNOWN[kind](one, chain)
        one.close()
        return made
    if kind == "mul" and chain.of == "stim" and float(one.take("factor", 1.0)) > 0:
        return [{"name": "pixel_norm", "center": 0.0, "range": 1.0 / float(one.take("factor", 1.0))}]
    one.ledger.lost[one.key] = _ELSEWHERE.get(kind, "there is no such preparation here")
    return []


def _pixelnorm(one: Block, chain: _Chain) -> list[Preparation]:
    return [{"name": "pixel_norm"}] if _only(one, chain, "stim") else []


def _whitening(one: Block, chain: _Chain) -> list[Preparation]:
    made = {"name": "whitening", "f_0": float(one.take("f_0", 0.4)), "n": float(one.take("n", 4))}
    if not _only(one, chain, "stim"):
        return []
    one.ledger.changed[one.key] = "of each frame by itself; there frequencies of time were changed too, over all frames"
    return [made]


def _difference(one: Block, chain: _Chain) -> list[Preparation]:
    if not _along_time(one):
        return []
    one.ledger.changed[one.key] = "0 where a trial or split begins"
    return [chain.block("difference")]


def _along_time(one: Block) -> bool:
    if one.take("axis", 0) != 0:
        one.lose("differences are along time here", "axis")
        return False
    return True


def _symlog(one: Block, chain: _Chain) -> list[Preparation]:
    del one  # it has no options
    return [chain.block("symlog")]


def _maxnorm(one: Block, chain: _Chain) -> list[Preparation]:
    one.ledger.changed[one.key] = (
        "each channel by its largest value in training frames; there all by that of all frames"
    )
    return [chain.block("max_norm")]


def _smooth(one: Block, chain: _Chain) -> list[Preparation]:
    kind, sigma = one.take("type", "gaussian"), float(one.take("params", 1.0))
    if kind != "gaussian" or chain.rate is None:
        one.ledger.lost[one.key] = "a Gaussian of so many milliseconds is: preparation `smooth`"
        return []
    if sigma <= 0:
        return []
    one.ledger.changed[one.key] = "within trials and splits"
    return [chain.block("smooth", sigma_ms=1000 * sigma / chain.rate, causal=False, reach=3.0)]


def _temporal_basis(one: Block, chain: _Chain) -> list[Preparation]:
    if chain.of == "stim":
        one.ledger.lost[one.key] = "it is a stage of the model here: `temporal_basis` of `model.core`"
        return []
    acausal = not one.take("causal", True)
    made = chain.block("temporal_basis", **temporal_basis(one), **({"acausal": True} if acausal else {}))
    one.change("frames beyond a trial or split count as 0", "history_bins")
    if acausal:
        one.ledger.changed[one.place("causal")] = (
            "each function has a mirrored copy that sees frames to come; there it was moved by half its span"
        )
    sides = ("past", "future") if acausal else ("past",)
    chain.channels = [f"{name}_{side}_*" for name in chain.channels for side in sides]
    return [made]


def _splitrelu(one: Block, chain: _Chain) -> list[Preparation]:
    one.take("split_dim")
    if one.take("trainable_gain", False):
        one.lose("preparations learn nothing", "trainable_gain")
    if not _only(one, chain, "behavior"):
        return []
    made: Preparation = {"name": "split_relu"}
    if chain.channels != ["*"]:
        made["channels"] = list(chain.channels)
        chain.channels = [f"{name}_{sign}" for name in chain.channels for sign in ("positive", "negative")]
    return [made]


def _only(one: Block, chain: _Chain, of: str) -> bool:
    if chain.of != of:
        one.ledger.lost[one.key] = f"it is for {of!r} alone here"
    return chain.of == of


_KNOWN: dict[str, Callable[[Block, _Chain], list[Preparation]]] = {
    "pixelnorm": _pixelnorm,
    "fftwhitening": _whitening,
    "diff": _difference,
    "symlog": _symlog,
    "maxnorm": _maxnorm,
    "smooth": _smooth,
    "temporal_basis": _temporal_basis,
    "splitrelu": _splitrelu,
}
