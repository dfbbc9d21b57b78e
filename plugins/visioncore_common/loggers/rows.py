"""Which logged rows survive a resume."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["kept_rows"]

Row = TypeVar("Row")


def kept_rows(rows: Iterable[tuple[int | None, Row]], resume_id: str | None, first_step: int) -> Iterator[Row]:
    """Rows that belong to the checkpoint that a run resumes from; those after it will be logged again.

    Parameters
    ----------
    rows
        Step and row, in the order in which they were logged; step None where a row was torn by a crash.
    resume_id
        Number of rows when the checkpoint was saved. Where it is not known, rows before `first_step` are kept.
    first_step
        Step of the first row that is logged after the resume.
    """
    for number, (step, row) in enumerate(rows):
        if step is None:
            return
        beyond = step >= first_step if resume_id is None else number >= int(resume_id)
        if beyond:
            return
        yield row
