"""What the checks find of all faulty components, and the table of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import asdict, dataclass

from faults import FAULTS
from faults import SURVIVORS as UNFOUND
from mutation import every_mutant, killer, with_builder
from mutation_rules import RULES
from mutation_survivors import SURVIVORS

__all__ = ["EQUIVALENT", "REASONS", "Verdict", "table", "verdicts"]

REASONS = {**SURVIVORS, **UNFOUND}
# Faults that are none: the component does the same by another way, so that no check can tell.
EQUIVALENT = {title for title, reason in REASONS.items() if reason.startswith("it does the same")}
PARTS = 2


@dataclass(frozen=True)
class Verdict:
    """A faulty component, and the first check that finds it."""

    title: str
    component: str
    rule: str  # empty where it was written by hand
    fault: str
    origin: str
    killer: str | None


def verdicts():
    """Hold every faulty component to the laws of its kind, in two processes; in the order of the components."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-W", "ignore", __file__]
    parts = [
        subprocess.Popen([*command, str(part), str(PARTS)], env=environment, stdout=subprocess.PIPE, text=True)
        for part in range(PARTS)
    ]
    lines = [line for part in parts for line in part.communicate()[0].splitlines() if line.startswith("[")]
    assert [part.returncode for part in parts] == [0] * PARTS
    return [Verdict(**one) for _, one in sorted((json.loads(line) for line in lines), key=lambda pair: pair[0])]


def _some(cases, part, parts):
    """Number and verdict of every component of a part."""
    for number, mutant in enumerate(every_mutant(cases)):
        if number % parts == part:
            with mutant.loaded() as case:
                found = killer(case)
            yield number, Verdict(mutant.title, str(mutant.case), mutant.rule, mutant.line, "", found)
    own = {(case.kind, case.entry.name): case for case in cases}
    for number, fault in enumerate(FAULTS):
        if number % parts == part:
            found = killer(with_builder(own[fault.kind, fault.component], fault.build))
            component = f"{fault.kind}:{fault.component}"
            yield 10**6 + number, Verdict(fault.title, component, "", fault.name, fault.origin, found)


def table(found):
    """Markdown: the score, a row for each rule and each component that was written by hand, and what is not found."""
    made, written = [one for one in found if one.rule], [one for one in found if not one.rule]
    killed = [one for one in found if one.killer]
    share = f"{100 * len(killed) / len(found):.1f} %"
    real = len(found) - len(EQUIVALENT)
    alike = f"{len(EQUIVALENT)} do the same as the good component by another way, so that nothing can find them"
    score = f"{len(killed)} of {real} are found ({100 * len(killed) / real:.1f} %; {share} of all)"
    counts = f"{len(found)} faulty components, {len(made)} made by rules and {len(written)} by hand"
    lines = [
        f"{counts}. {alike}; of the others **{score}**.",
        "",
        "### By a rule",
        "",
        "| rule | what it does | made | found | of the kinds |",
        "|---|---|---|---|---|",
        *(_rule(rule, [one for one in made if one.rule == rule]) for rule in RULES),
        "",
        "### By hand",
        "",
        "| component | fault | known from | found by |",
        "|---|---|---|---|",
        *(_written(one) for one in written),
        "",
        "### Not found",
        "",
        *(f"- {one.component}, {one.fault}: {REASONS.get(one.title, '?')}" for one in found if not one.killer),
    ]
    return "\n".join(lines)


def _rule(rule, made):
    law = (RULES[rule].__doc__ or "").partition("\n")[0]
    kinds = Counter(one.component.partition(":")[0] for one in made)
    spread = ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items()))
    return f"| {rule} | {law} | {len(made)} | {sum(one.killer is not None for one in made)} | {spread} |"


def _written(one):
    return (
        f"| {one.component} | {one.fault} | {one.origin or '-'} | {f'`{one.killer}`' if one.killer else 'not found'} |"
    )


if __name__ == "__main__":
    from conformance_cases import CASES

    for index, verdict in _some(CASES, *map(int, sys.argv[1:])):
        print(json.dumps([index, asdict(verdict)]), flush=True)
