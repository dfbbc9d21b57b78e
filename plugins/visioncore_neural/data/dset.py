"""Reader of VisionCore's ``.dset`` files: a dictionary of tensors and what is said of them, saved by torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from visioncore_engine.errors import DataError, Problem
from visioncore_neural.data.aliases import find_keys
from visioncore_neural.data.assemble import assemble, frame_duration
from visioncore_neural.data.files import must_exist
from visioncore_neural.data.shared import with_shared_stimulus
from visioncore_neural.options.reader import ArchiveOptions
from visioncore_neural.recording import Recording

if TYPE_CHECKING:
    from visioncore_engine.contracts import ReaderFacts

__all__ = ["Dset"]


class Dset:
    """``{"covariates": {name: tensor, time first}, "metadata": {"name", "sess", "cids"}}``, read into memory.

    ``cids`` are the columns of ``robs`` that are used, and the ids of the units. Time bins (``t_bins``, seconds) give
    the frame duration, and frames of repeated clips (``psth_inds``) their presentations, one for each trial.

    Parameters
    ----------
    options, facts
        Names and axes, and the path.
    """

    def __init__(self, options: ArchiveOptions, facts: ReaderFacts) -> None:
        self._options, self._path = options, facts.path

    def accepts(self) -> bool:
        """Whether the path looks like such a file."""
        return self._path.suffix == ".dset"

    def read(self) -> Recording:
        """Read the recording.

        Raises
        ------
        DataError
            For a file that is missing, damaged, or holds other Python objects than tensors and plain values; and where
            arrays are missing or do not fit.
        """
        must_exist(self._path)
        covariates, said = self._content()
        found = find_keys(covariates, self._options.keys, str(self._path))
        arrays = {name: _array(covariates[key], key, self._path) for name, key in found.items()}
        for ours, theirs in (("name", "sess"), ("name", "name"), ("subject", "subject")):
            if ours not in arrays and isinstance(said.get(theirs), str):
                arrays[ours] = np.array(said[theirs])
        if "dt" not in arrays and "t_bins" in covariates:
            arrays["dt"] = np.array(frame_duration(_array(covariates["t_bins"], "t_bins", self._path).ravel()))
        if "robs" in arrays and said.get("cids") is not None:
            arrays = self._of_units(arrays, np.asarray(said["cids"]).ravel())
        if "repeat_frame" in arrays:
            arrays.update(_presentations(arrays))
        arrays = with_shared_stimulus(arrays, self._options.stimulus, self._path, headers=False)
        return assemble(arrays, self._options, self._path)

    def _content(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        import torch

        try:
            content = torch.load(self._path, map_location="cpu", weights_only=True)
        except Exception as error:  # the library reports damage in many ways
            raise DataError(
                Problem(
                    where=str(self._path),
                    what="cannot be read as tensors and plain values, and other objects are never loaded: "
                    f"{str(error).splitlines()[0] if str(error) else type(error).__name__}",
                    given=f"a file of {self._path.stat().st_size} bytes",
                    todo="where it holds objects of other classes, open it with the program that wrote it and save "
                    "`{'covariates': {name: tensor}, 'metadata': {…}}` with torch.save",
                )
            ) from error
        if not isinstance(content, dict) or not isinstance(content.get("covariates"), dict):
            given = ", ".join(map(str, content)) if isinstance(content, dict) else type(content).__name__
            what = "must hold a dictionary `covariates` of tensors"
            raise DataError(Problem(where=str(self._path), what=what, given=given))
        said = content.get("metadata") or {}
        return content["covariates"], said if isinstance(said, dict) else {}

    def _of_units(self, arrays: dict[str, np.ndarray], cids: np.ndarray) -> dict[str, np.ndarray]:
        """Responses and masks of the units that are used."""
        num = arrays["robs"].shape[-1]
        if cids.dtype.kind not in "iu" or (len(cids) != num and (cids.min() < 0 or cids.max() >= num)):
            what = f"`cids` must be columns of the {num} that `robs` has"
            raise DataError(Problem(where=str(self._path), key="cids", what=what, given=str(cids[:5].tolist())))
        chosen: dict[str, np.ndarray] = {
            key: arrays[key][:, cids]
            for key in ("robs", "valid")
            if key in arrays and arrays[key].ndim == 2 and arrays[key].shape[1] == num != len(cids)
        }
        return {**arrays, **chosen, "units": np.array([str(unit) for unit in cids.tolist()])}


def _array(value: Any, key: str, path: Path) -> np.ndarray:
    import torch

    if not isinstance(value, torch.Tensor):
        raise DataError(Problem(where=str(path), key=key, what="must be a tensor", given=type(value).__name__))
    if value.dtype == torch.bfloat16:  # which NumPy does not know
        value = value.float()
    array = value.detach().numpy()
    return array[:, 0] if key != "stim" and array.ndim == 2 and array.shape[1] == 1 else np.asarray(array)


def _presentations(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Frames of clips as whole numbers, and which presentation each trial is; -1 elsewhere."""
    frame = np.where(np.isfinite(arrays["repeat_frame"]), arrays["repeat_frame"], -1).astype(np.int32)
    trial = np.asarray(arrays.get("trial", np.zeros(len(frame))))
    inside = frame >= 0
    number = np.full(len(frame), -1, dtype=np.int32)
    number[inside] = np.unique(trial[inside], return_inverse=True)[1]
    return {"repeat_frame": frame, "repeat_trial": number}
