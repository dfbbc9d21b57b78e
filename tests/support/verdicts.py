"""What the checks find of all faulty components, and the table of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from faults import FAULTS
from faults import SURVIVORS as UNFOUND
from mutation import every_mutant, killer, with_builder
from mutation_rules import RULES
from mutation_survivors import SURVIVORS

__all__ = ["REASONS", "Verdict", "table", "verdicts"]

REASONS = {**SURVIVORS, **UNFOUND}


@dataclass(frozen=True)
class Verdict:
    """A faulty component, and the first check that finds it."""

    title: str
    component: str
    rule: str  # empty where it was written by hand
    fault: str
    origin: str
    killer: str | None


def verdicts(cases):
    """Hold every faulty component to the laws of its kind."""
    cases = list(cases)
    for mutant in every_mutant(cases):
        with mutant.loaded() as case:
            yield Verdict(mutant.title, str(mutant.case), mutant.rule, mutant.line, "", killer(case))
    own = {(case.kind, case.entry.name): case for case in cases}
    for fault in FAULTS:
        found = killer(with_builder(own[fault.kind, fault.component], fault.build))
        yield Verdict(fault.title, f"{fault.kind}:{fault.component}", "", fault.name, fault.origin, found)


def table(found):
    """Markdown: the score, a row for each rule and each component that was written by hand, and what is not found."""
    made, written = [one for one in found if one.rule], [one for one in found if not one.rule]
    killed = [one for one in found if one.killer]
    lines = [
        f"{len(found)} faulty components, {len(made)} made by rules and {len(written)} by hand; "
        f"**{len(killed)} are found ({100 * len(killed) / len(found):.1f} %)**.",
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
