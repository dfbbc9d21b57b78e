"""What happens to a step whose loss or gradient is not finite: `policies.non_finite`, alike on all processes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from visioncore_engine.config.run import PolicyOptions
from visioncore_engine.errors import RunError

__all__ = ["NonFinitePolicy"]


class NonFinitePolicy:
    """Counts the steps that were left out, and says when there were too many.

    A step that is left out keeps its place in the plan: counters, schedules and `max_steps` go on as if it had been
    taken, so that batch index, step and place in the plan stay one number.

    Parameters
    ----------
    options
        The run's `policies` block.

    Attributes
    ----------
    num_skipped
        Steps left out so far, over the whole run and its resumes.
    """

    def __init__(self, options: PolicyOptions) -> None:
        self._options = options
        self.num_skipped = 0

    def skip(self, step: int, reasons: Sequence[str], *, say: bool) -> bool:
        """Whether a step is left out; False where the run must end.

        Parameters
        ----------
        step
            The optimizer step, counted from 0.
        reasons
            What is not finite.
        say
            Whether this process tells the user.
        """
        if self._options.non_finite != "skip" or self.num_skipped >= self._options.max_skips:
            return False
        self.num_skipped += 1
        if say:
            count = f"{self.num_skipped} of at most {self._options.max_skips}"
            print(f"warning: step {step} is left out: {_told(reasons)} ({count})", file=sys.stderr)  # noqa: T201 - must be seen
        return True

    def error(self, step: int, reasons: Sequence[str], *, saved: bool) -> RunError:
        """Return the error that ends the run.

        Parameters
        ----------
        step, reasons
            As in `skip`.
        saved
            Whether the state before this step was saved.
        """
        state = "the state before this step is saved" if saved else "the last checkpoint is finite"
        limit = f"; {self.num_skipped} steps were left out already (policies.max_skips)" if self.num_skipped else ""
        error = RunError(
            f"run failed: step {step}: {_told(reasons)}{limit}; {state}. Lower `optimizer.lr`, set `optimizer.clip`, "
            "look at these data, or leave such steps out with `policies.non_finite: skip`"
        )
        error.shows_traceback = self._options.non_finite == "raise"
        return error


def _told(reasons: Sequence[str]) -> str:
    more = f" and {len(reasons) - 4} more" if len(reasons) > 4 else ""
    return f"{', '.join(reasons[:4])}{more}"
