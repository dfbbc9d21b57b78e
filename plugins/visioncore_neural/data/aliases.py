"""What other labs call the arrays of a recording."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from visioncore_engine.errors import DataError, Problem

__all__ = ["ALIASES", "find_keys"]

ALIASES: Mapping[str, tuple[str, ...]] = {
    "stim": ("stimulus", "stimuli", "movie", "video"),
    "robs": ("responses", "response", "spikes", "spike_counts"),
    "valid": ("dfs", "datafilters", "valid_mask", "dpi_valid"),
    "trial": ("trials", "trial_inds", "trial_ids", "segment", "segments"),
    "split": ("tier", "tiers"),
    "behavior": ("behaviour", "behavior_variables", "running"),
    "behavior_names": ("behaviour_names",),
    "eyepos": ("eye_position", "gaze", "pupil_center"),
    "repeat_frame": ("psth_inds", "repeat_frames"),
    "repeat_trial": ("repeat_trials",),
    "units": ("unit_ids", "cids", "neuron_ids"),
    "dt": ("bin_size", "frame_duration"),
    "name": ("session", "session_name"),
    "subject": ("subject_id", "animal", "animal_id"),
    "degrees_per_pixel": ("deg_per_pixel",),
    "stim_sha256": ("stimulus_sha256",),
    "stim_rep": ("stimulus_repeats",),
    "robs_rep": ("responses_repeats",),
}
"""Our name to other names. A file may use either; two names of one array in one file must be decided by `keys`."""


def find_keys(available: Iterable[str], keys: Mapping[str, str | None], where: str) -> dict[str, str]:
    """Find each of our arrays in a file.

    Parameters
    ----------
    available
        What the file holds.
    keys
        Our name to the file's name, as the user wrote it; None means: do not read it.
    where
        The file, for messages.

    Raises
    ------
    DataError
        For a name that is not ours, a key that the file lacks, or an array with two candidates.
    """
    available = list(available)
    problems = [
        Problem(where=where, key=f"keys.{name}", what=f"recordings have {', '.join(ALIASES)}", given=name)
        for name in keys
        if name not in ALIASES
    ]
    problems += [
        Problem(where=where, key=f"keys.{name}", what=f"the file holds {', '.join(available)}", given=key)
        for name, key in keys.items()
        if key is not None and key not in available
    ]
    found: dict[str, str] = {}
    taken = {key for key in keys.values() if key is not None}
    for name, others in ALIASES.items():
        if name in keys:
            if (key := keys[name]) is not None:
                found[name] = key
            continue
        candidates = [key for key in (name, *others) if key in available and key not in taken]
        if len(candidates) > 1:
            problems.append(
                Problem(
                    where=where,
                    key=name,
                    what=f"could be any of {', '.join(candidates)}",
                    todo=f"say which: `keys: {{{name}: {candidates[0]}}}`",
                )
            )
        elif candidates:
            found[name] = candidates[0]
    if problems:
        raise DataError(*problems)
    return found
