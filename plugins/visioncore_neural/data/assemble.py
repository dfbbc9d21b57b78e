"""From the named arrays of a file to a recording."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from visioncore_engine.errors import DataError, Problem
from visioncore_neural.options.reader import ArchiveOptions
from visioncore_neural.recording import SPLITS, Affine, Recording

__all__ = ["assemble", "frame_duration", "to_tchw"]

_DEFAULT_AXES = {1: "T", 2: "TC", 3: "THW", 4: "TCHW"}


def to_tchw(stim: np.ndarray, axes: str, where: str) -> np.ndarray:
    """Bring a stimulus to (T, C, H, W).

    Parameters
    ----------
    stim
        Stimulus as stored.
    axes
        Its axes in order; empty means by their number. ``TCW`` makes (T, 1, 31) to (T, 1, 1, 31), ``THC`` makes
        (T, 1, 2) to (T, 2, 1, 1).
    where
        The file, for messages.

    Raises
    ------
    DataError
        Where the axes do not fit.
    """
    axes = axes or _DEFAULT_AXES.get(stim.ndim, "")
    if len(axes) != stim.ndim or len(set(axes)) != len(axes) or "T" not in axes:
        raise DataError(
            Problem(
                where=where,
                key="axes",
                what=f"the stimulus has shape {stim.shape}: name each of its axes once, with T, C, H, W",
                given=repr(axes),
            )
        )
    order = [axes.index(axis) for axis in "TCHW" if axis in axes]
    missing = tuple(i for i, axis in enumerate("TCHW") if axis not in axes)
    return np.expand_dims(stim.transpose(order), missing)


def frame_duration(times: np.ndarray) -> float:
    """Seconds per frame: what most frames are apart, to nine digits (times have rounding errors)."""
    return float(f"{np.median(np.diff(times)):.9g}")


def assemble(arrays: Mapping[str, np.ndarray], options: ArchiveOptions, path: Path) -> Recording:
    """Make a recording of a file's arrays, which have our names already.

    Raises
    ------
    DataError
        Where something is missing or does not fit.
    """
    where = str(path)
    missing = [name for name in ("stim", "robs") if name not in arrays]
    if "dt" not in arrays and options.dt is None:
        missing.append("dt")
    if missing:
        raise DataError(
            *(
                Problem(
                    where=where, key=name, what="the file has no such array", todo=f"name it: `keys: {{{name}: …}}`"
                )
                for name in missing
            )
        )
    name = options.session or _word(arrays, "name") or path.stem
    frames = {key: arrays[key] for key in _PER_FRAME if key in arrays}
    for key in ("robs", "behavior"):
        if key in frames and frames[key].ndim == 1:
            frames[key] = frames[key][:, None]
    frames["stim"] = to_tchw(arrays["stim"], options.axes, where)
    num_frames = len(frames["stim"])
    frames.setdefault("trial", np.zeros(num_frames, dtype=np.int32))
    frames["valid"] = _as_mask(frames.get("valid", np.ones(num_frames, dtype=bool)), where)
    if frames["trial"].dtype.kind == "f":
        frames["trial"] = _as_integers(frames["trial"], "trial", where)
    if "split" in frames and frames["split"].dtype.kind in "US":
        frames["split"] = _as_split(frames["split"], where)
    if options.repeats and "stim_rep" in arrays and "robs_rep" in arrays:
        frames = _append_repeats(frames, to_tchw(arrays["stim_rep"], options.axes, where), arrays["robs_rep"], where)
    behavior, num_units = frames.get("behavior"), frames["robs"].shape[-1]
    return Recording(
        name=name,
        subject=options.subject or _word(arrays, "subject") or name,
        dt=float(options.dt if options.dt is not None else arrays["dt"]),
        units=_words(arrays, "units") or tuple(str(unit) for unit in range(num_units)),
        behavior_names=()
        if behavior is None
        else _words(arrays, "behavior_names") or tuple(f"channel_{i}" for i in range(behavior.shape[-1])),
        degrees_per_pixel=float(arrays["degrees_per_pixel"]) if "degrees_per_pixel" in arrays else None,
        affine={}
        if (options.scale, options.offset) == (1.0, 0.0)
        else {"stim": Affine(np.asarray(options.scale), np.asarray(options.offset))},
        kind=options.kind,
        path=where,
        stim=frames["stim"],
        robs=frames["robs"],
        valid=frames["valid"],
        trial=frames["trial"],
        split=frames.get("split"),
        behavior=behavior,
        eyepos=frames.get("eyepos"),
        repeat_frame=frames.get("repeat_frame"),
        repeat_trial=frames.get("repeat_trial"),
    )


_PER_FRAME = ("stim", "robs", "valid", "trial", "split", "behavior", "eyepos", "repeat_frame", "repeat_trial")


def _append_repeats(
    frames: dict[str, np.ndarray], stim: np.ndarray, robs: np.ndarray, where: str
) -> dict[str, np.ndarray]:
    """Add R presentations of a clip as R trials: stim (F, C, H, W), robs (R, F, N)."""
    if robs.ndim != 3 or robs.shape[1] != len(stim):
        raise DataError(
            Problem(
                where=where,
                key="robs_rep",
                what=f"must be (presentations, {len(stim)} frames of the repeated clip, units)",
                given=str(robs.shape),
            )
        )
    extra = [key for key in ("behavior", "eyepos", "repeat_frame") if key in frames]
    if extra or "split" not in frames:
        raise DataError(
            Problem(
                where=where,
                key="stim_rep",
                what=f"repeats bring no {', '.join(extra)}" if extra else "repeats need a `split` beside them",
                todo="leave them out: `repeats: false`",
            )
        )
    num, length, _ = robs.shape
    before = len(frames["stim"])
    trial = int(frames["trial"].max()) + 1 + np.arange(num).repeat(length)
    valid = frames["valid"]
    none = np.full(before, -1, dtype=np.int32)
    return {
        "stim": np.concatenate([frames["stim"], np.tile(stim, (num, 1, 1, 1)).astype(frames["stim"].dtype)]),
        "robs": np.concatenate([frames["robs"], robs.reshape(num * length, -1).astype(frames["robs"].dtype)]),
        "valid": np.concatenate([valid, np.ones((num * length, *valid.shape[1:]), dtype=bool)]),
        "trial": np.concatenate([frames["trial"].astype(np.int32), trial.astype(np.int32)]),
        "split": np.concatenate([frames["split"], np.full(num * length, SPLITS["repeats"], frames["split"].dtype)]),
        "repeat_frame": np.concatenate([none, np.tile(np.arange(length, dtype=np.int32), num)]),
        "repeat_trial": np.concatenate([none, np.arange(num, dtype=np.int32).repeat(length)]),
    }


def _as_split(words: np.ndarray, where: str) -> np.ndarray:
    """Numbers of splits that were stored by name."""
    names = [word.decode() if isinstance(word, bytes) else str(word) for word in words.ravel().tolist()]
    unknown = [i for i, name in enumerate(names) if name not in SPLITS]
    if unknown:
        what = f"splits are {', '.join(SPLITS)}; {len(unknown)} are other, first at frame {unknown[0]}"
        raise DataError(Problem(where=where, key="split", what=what, given=repr(names[unknown[0]])))
    return np.array([SPLITS[name] for name in names], dtype=np.int8)


def _as_mask(mask: np.ndarray, where: str) -> np.ndarray:
    """Bool from a mask that is stored as 0 and 1."""
    if mask.dtype == bool:
        return mask
    wrong = (mask != 0) & (mask != 1)
    if wrong.any():
        first = int(np.argwhere(wrong)[0][0])
        raise DataError(
            Problem(
                where=where,
                key="valid",
                what=f"{int(wrong.sum())} values are neither 0 nor 1; first at frame {first}",
                given=str(mask[first]),
            )
        )
    return np.asarray(mask != 0)


def _as_integers(values: np.ndarray, key: str, where: str) -> np.ndarray:
    """Whole numbers that were stored as floats; anything else would become trials that never were."""
    wrong = values != np.floor(values)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        what = f"{int(wrong.sum())} values are no whole numbers; first at frame {first}"
        raise DataError(Problem(where=where, key=key, what=what, given=str(values[first])))
    return np.asarray(values, dtype=np.int32)


def _words(arrays: Mapping[str, np.ndarray], key: str) -> tuple[str, ...]:
    if key not in arrays:
        return ()
    return tuple(item.decode() if isinstance(item, bytes) else str(item) for item in np.ravel(arrays[key]).tolist())


def _word(arrays: Mapping[str, np.ndarray], key: str) -> str:
    words = _words(arrays, key)
    return words[0] if len(words) == 1 else ""
