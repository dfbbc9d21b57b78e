"""Parts of a model, built and then tried once on zeros: one that breaks its word is named before training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from visioncore_engine.errors import ConfigError, PluginError, Problem, UserError
from visioncore_engine.options import Choice

__all__ = ["Part", "Shape"]

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Part:
    """A chosen block of the model's options.

    Attributes
    ----------
    choice
        The block.
    key
        Where it stands in the run file, e.g. ``model.core.resnet3d``.
    """

    choice: Choice
    key: str

    def build(self, facts: Any) -> Any:
        """Build the component; the user's mistakes that its builder finds are told with the place of the block."""
        try:
            return self.choice.build(facts)
        except UserError as error:
            raise type(error)(
                *(
                    replace(problem, key=f"{self.key}.{problem.key}" if problem.key else self.key)
                    for problem in error.problems
                )
            ) from error

    def attempt(
        self, module: nn.Module, call: Callable[[Tensor], Tensor], given: tuple[int, ...], declared: tuple[int, ...]
    ) -> None:
        """Run the built module on zeros, and compare what comes out with what it declares.

        Parameters
        ----------
        module
            What `build` returned.
        call
            How it is called on an input.
        given, declared
            Shape of the input, and of the output that must come.

        Raises
        ------
        ConfigError
            Where it cannot run on this input.
        PluginError
            Where it breaks its own word: another shape than declared, or parameters made in its first call, which no
            optimizer would ever have seen.
        """
        names, was_training = set(module.state_dict()), module.training
        try:
            with torch.no_grad():
                module.eval()
                output = call(torch.zeros(given))
        except RuntimeError as error:  # torch's complaint about shapes names no stage, so it is said again with one
            raise ConfigError(self._problem(f"cannot run on an input of shape {given}: {error}")) from error
        finally:
            module.train(was_training)
        if tuple(output.shape) != declared:
            what = f"{self.choice.name!r} makes another output than it declares, {declared} from {given}"
            raise PluginError(self._problem(what, given=str(tuple(output.shape))))
        if set(module.state_dict()) != names:
            raise PluginError(self._problem(f"{self.choice.name!r} makes parameters in its first call"))

    def _problem(self, what: str, given: str | None = None) -> Problem:
        return Problem(where=self.choice.where, key=self.key, what=what, given=given)
