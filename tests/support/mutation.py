"""Faulty components, made by a rule from the source of good ones or written by hand, and which check finds them."""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib
import inspect
import io
import signal
import sys
import types
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mutation_rules import RULES

from visioncore_engine.component import resolve_address
from visioncore_engine.testing import Case, checks_of

__all__ = ["Fault", "Mutant", "every_mutant", "killer", "mutants_of", "with_builder"]

LIMIT = 60  # seconds that the checks of one mutant may take
MOST = 2  # mutants of one component by one rule
ONCE = ("move the process", "draw when built")  # alike for all components
CHANGED = (ast.AnnAssign, ast.Assign, ast.Attribute, ast.Call, ast.For, ast.FunctionDef, ast.Return)
INHERITED = (
    "readout",
    "regularizer",
)  # kinds whose components are changed in what they inherit from another module, too
LAST = ("cost_is_that_of_a_batch", "plan_goes_beyond_16_million_windows", "resume_leaves_no_trace")  # they take longest


@dataclass(frozen=True)
class Fault:
    """A faulty component that was written by hand.

    Attributes
    ----------
    name
        What is wrong, in a few words.
    kind, component
        The component that it stands in for: its options and its case are used.
    build
        Address of the faulty builder.
    origin
        The system that had this fault, where one did.
    """

    name: str
    kind: str
    component: str
    build: str
    origin: str = ""

    @property
    def title(self) -> str:
        return f"{self.kind}:{self.component} {self.name}"


@dataclass(frozen=True, eq=False)
class Mutant:
    """A component whose source was changed by a rule at one place."""

    case: Case
    rule: str
    line: str  # what was changed
    tree: ast.Module
    number: int

    @property
    def title(self) -> str:
        return f"{self.case}: {self.rule}: {self.line}"

    @contextlib.contextmanager
    def loaded(self) -> Iterator[Case]:
        """Import the mutated module under a name of its own; gives the case of the faulty component."""
        entry = self.case.entry
        module_name, _, attribute = entry.component.build.partition(":")
        original = importlib.import_module(module_name or entry.home)
        name = f"mutant_{self.number}"
        module = types.ModuleType(name)
        module.__package__ = original.__package__
        module.__file__ = original.__file__
        sys.modules[name] = module
        try:
            exec(compile(self.tree, f"<{self.title}>", "exec"), vars(module))
            yield with_builder(self.case, f"{name}:{attribute}")
        finally:
            del sys.modules[name]


def with_builder(case: Case, build: str) -> Case:
    """The case of a component that is built by something else."""
    entry = case.entry
    faulty = replace(entry, component=replace(entry.component, build=build))
    registry = case.plugins
    entries = tuple(faulty if found is entry else found for found in registry.entries)
    return replace(case, registry=replace(registry, entries=entries))


def every_mutant(cases: Iterable[Case]) -> Iterator[Mutant]:
    """All mutants; what is alike for all components is done to one of each kind."""
    number, done = 0, set()
    for case in cases:
        for mutant in mutants_of(case, number):
            key = (case.kind, mutant.rule)
            if mutant.rule not in ONCE or key not in done:
                done.add(key)
                number += 1
                yield mutant


def mutants_of(case: Case, start: int) -> Iterator[Mutant]:
    """Every mutant of a component, by every rule, in the order of the source."""
    entry = case.entry
    module_name, _, attribute = entry.component.build.partition(":")
    module = importlib.import_module(module_name or entry.home)
    builder = resolve_address(entry.component.build, entry.home)
    if getattr(builder, "__module__", "") != module.__name__:
        return
    tree, own = _with_bases(module, attribute, inherited=case.kind in INHERITED)
    wanted = _reachable(tree, attribute)
    found = [(place, node) for place, node in enumerate(ast.walk(tree)) if isinstance(node, CHANGED)]
    inside = [(node.lineno > own, place) for place, node in found if _inside(node, wanted)]
    places = [place for _, place in sorted(inside)]  # what is inherited comes last
    number = start
    for rule, change in RULES.items():
        made, work, before = 0, copy.deepcopy(tree), ""
        nodes = list(ast.walk(work))
        for place in places:
            if made == MOST:
                break
            line = change(nodes[place], work, case)  # which leaves the tree alone where it says None
            if line is None:
                continue
            line, before = (f"{line} (again)" if line == before else line), line
            yield Mutant(case, rule, line, ast.fix_missing_locations(work), number)
            work = copy.deepcopy(tree)
            nodes = list(ast.walk(work))
            number += 1
            made += 1


def killer(case: Case) -> str | None:
    """Name of the first check that a component fails; None where it passes them all."""
    with _limit(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for check in sorted(checks_of(case.kind), key=lambda check: check.name in LAST):
            if check.fresh_process or check.name in case.expected:
                continue  # about imports, no fault of these; or the good component fails it too
            try:
                with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                    check(case)
            except (Exception, SystemExit):  # noqa: BLE001 - whatever a faulty component raises, a test would fail
                return check.name
    return None


def _with_bases(module: types.ModuleType, name: str, *, inherited: bool) -> tuple[ast.Module, int]:
    """Syntax tree of a module, and its number of lines; beyond these stand the classes that it derives its own from.

    Where another module of the same package has such a class, the whole of it takes the place of its import, so that
    what is `inherited` is changed as what is not.
    """
    text = Path(inspect.getfile(module)).read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.count("\n")
    if not inherited:
        return tree, lines
    spans, end = _reachable(tree, name), lines
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and _inside(node, spans)]
    bases = {base.id for node in classes for base in node.bases if isinstance(base, ast.Name)}
    for node in [node for node in tree.body if isinstance(node, ast.ImportFrom)]:
        home = node.module or ""
        if home.partition(".")[0] != module.__name__.partition(".")[0] or not bases & {one.name for one in node.names}:
            continue
        text = Path(inspect.getfile(importlib.import_module(home))).read_text(encoding="utf-8")
        place = tree.body.index(node)
        tree.body[place : place + 1] = ast.increment_lineno(ast.parse(text), end).body[2:]  # docstring, and the future
        end += text.count("\n")
    return tree, lines


def _reachable(tree: ast.Module, name: str) -> list[tuple[int, int]]:
    """Lines of the definitions of a module that one of them is made of."""
    definitions = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    found: list[str] = []
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current in found or current not in definitions:
            continue
        found.append(current)
        waiting += [node.id for node in ast.walk(definitions[current]) if isinstance(node, ast.Name)]
    return [(definitions[one].lineno, definitions[one].end_lineno or 0) for one in found]


def _inside(node: ast.AST, wanted: list[tuple[int, int]]) -> bool:
    line = getattr(node, "lineno", None)
    return line is not None and any(first <= line <= last for first, last in wanted)


@contextlib.contextmanager
def _limit() -> Iterator[None]:
    """End checks that never end."""

    def late(_number, _frame):
        raise TimeoutError("the checks did not end")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
