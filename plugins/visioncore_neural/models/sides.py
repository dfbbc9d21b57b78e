"""Side inputs across groups: which all of them have, and those of a batch, aligned to the features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from visioncore_engine.contracts import Group, GroupSpec
from visioncore_engine.errors import ConfigError, DataError, Problem, nearest

__all__ = ["BatchSides", "SharedSides"]


class SharedSides(Mapping[str, int]):
    """Size of each side input that every group has. Asking for another is the user's mistake, and says whose.

    Parameters
    ----------
    groups
        Specifications of all groups.
    """

    def __init__(self, groups: Sequence[GroupSpec]) -> None:
        self._groups = groups
        names = dict.fromkeys(name for group in groups for name in group.side)
        sizes = {name: {group.side.get(name) for group in groups} for name in names}
        self._shared = {name: size for name, found in sizes.items() for size in found if size and len(found) == 1}

    def __getitem__(self, name: str) -> int:
        """Size of a side input.

        Raises
        ------
        ConfigError
            Where a group lacks it, or groups disagree on its size.
        """
        if name in self._shared:
            return self._shared[name]
        lacking = [group.name for group in self._groups if name not in group.side]
        if not lacking:
            sizes = ", ".join(f"{group.name}: {group.side[name]}" for group in self._groups)
            raise ConfigError(
                Problem(
                    what=f"the side input {name!r} has another size in other groups",
                    given=sizes,
                    todo="prepare it alike in every group",
                )
            )
        known = ", ".join(self) or "none"
        close = nearest(name, self._shared)
        raise ConfigError(
            Problem(
                what=f"needs the side input {name!r}, which is missing in {_some(lacking)}; all groups have: {known}",
                todo=f"did you mean {close!r}?" if close else "leave these groups out, or the component that needs it",
            )
        )

    def __contains__(self, name: object) -> bool:
        return name in self._shared

    def __iter__(self) -> Iterator[str]:
        return iter(self._shared)

    def __len__(self) -> int:
        return len(self._shared)


class BatchSides(Mapping[str, Tensor]):
    """Side inputs of all groups of a batch, (sum of B, T, K), at the last T frames; concatenated when asked for.

    Parameters
    ----------
    groups
        The groups, in the order in which their features were concatenated.
    like
        Features (sum of B, C, T, H, W), for the number of frames, dtype and device.
    """

    def __init__(self, groups: Sequence[Group], like: Tensor) -> None:
        self._groups, self._like = groups, like

    def __getitem__(self, name: str) -> Tensor:
        """Side input of all groups.

        Raises
        ------
        DataError
            Where a group of the batch comes without it.
        """
        lacking = [group.name for group in self._groups if name not in group.side]
        if lacking:
            raise DataError(
                Problem(
                    where=lacking[0],
                    what=f"the batch brings no side input {name!r}, which the model was built with",
                    todo="pass it in `Group.side`",
                )
            )
        length = self._like.shape[2]
        sides = [group.side[name] for group in self._groups]
        return torch.cat([side[:, side.shape[1] - length :] for side in sides]).to(self._like)

    def __iter__(self) -> Iterator[str]:
        return iter(name for name in self._groups[0].side if all(name in group.side for group in self._groups))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
