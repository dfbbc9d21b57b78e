"""Rules that make a good component faulty: each changes one node of its syntax tree, or says None."""

from __future__ import annotations

import ast

from pydantic_core import PydanticUndefined

from visioncore_engine.component import KINDS, resolve_address
from visioncore_engine.testing.variation import own_options

__all__ = ["RULES"]

_STATE = ("state", "state_dict")
_RESTORE = ("restore", "load_state_dict")
_NO_MASK = ("np.nan", "np.inf", "1.0")  # what guards a quotient, or says that there is none
_IN_TIME = ("stage", "adapter", "modulator", "readout")
_CONSTANTS = {
    "batch": "np.zeros(1, dtype=np.int64)",
    "factor": "1.0",
    "penalty": "torch.zeros(())",
}


def _expression(text):
    return ast.parse(text, mode="eval").body


def _replace(tree, old, new):
    """Put a node in the place of another."""
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list):
                for number, item in enumerate(value):
                    if item is old:
                        value[number] = new


def _everywhere(tree, node, new):
    """Put another node in the place of every one like this; None where this is not the first of them."""
    text = ast.unparse(node)
    twins = [other for other in ast.walk(tree) if isinstance(other, ast.Attribute) and ast.unparse(other) == text]
    if twins[0] is not node:
        return None
    for twin in twins:
        _replace(tree, twin, new)
    return text


def _text(node):
    return " ".join(ast.unparse(node).split())[:60]


def _calls(node, *names):
    return isinstance(node, ast.Call) and ast.unparse(node.func) in names


def _function_of(tree, node):
    """The innermost function that a node stands in."""
    found = None
    for candidate in ast.walk(tree):
        if isinstance(candidate, ast.FunctionDef) and any(child is node for child in ast.walk(candidate)):
            found = candidate
    return found


def _ensure(tree, *modules):
    for text in modules:
        tree.body.insert(_after_future(tree), ast.parse(text).body[0])


def _after_future(tree):
    place = 0
    for number, node in enumerate(tree.body):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            place = number + 1
    return place


def ignore_an_option(node, tree, case):
    """``options.power`` is its default, whatever the user wrote."""
    if not (isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)):
        return None
    if ast.unparse(node.value) not in ("options", "self._options", "self.options"):
        return None
    options = case.choose().options
    own = own_options(type(options), resolve_address(KINDS[case.kind].options))
    if node.attr not in own or node.attr in case.inert:
        return None
    value = getattr(options, node.attr)
    if not isinstance(value, bool | int | float | str | type(None)) or value is PydanticUndefined:
        return None
    return _everywhere(tree, node, ast.Constant(value))


def drop_a_mask(node, tree, case):
    """``torch.where(mask, value, 0)`` is the value."""
    if not _calls(node, "torch.where", "np.where") or len(node.args) != 3:
        return None
    if ast.unparse(node.args[2]) in _NO_MASK:
        return None
    line = _text(node)
    _replace(tree, node, node.args[1])
    return line


def draw_from_the_global_generator(node, tree, case):
    """Keyed draws come from NumPy's global generator instead."""
    _ensure_numpy = "import numpy as np"
    if _calls(node, "generator"):
        line = _text(node)
        _replace(tree, node, _expression("_mutant_generator()"))
        source = (
            "def _mutant_generator():\n    return np.random.Generator(np.random.Philox(np.random.randint(2**31)))\n"
        )
        tree.body.insert(_after_future(tree), ast.parse(source).body[0])
        _ensure(tree, _ensure_numpy)
        return line
    if isinstance(node, ast.Call) and _calls(node.func, "Permutation"):
        line = _text(node)
        _replace(
            tree,
            node,
            _expression(f"np.random.permutation({ast.unparse(node.func.args[0])})[{ast.unparse(node.args[0])}]"),
        )
        return line
    if _calls(node, "uniforms"):
        line = _text(node)
        sizes = ", ".join(ast.unparse(argument) for argument in node.args[:2])
        _replace(tree, node, _expression(f"(lambda items, num: np.random.random((len(items), num)))({sizes})"))
        _ensure(tree, _ensure_numpy)
        return line
    return None


def ignore_the_seed(node, tree, case):
    """The seed of the run is 0."""
    if isinstance(node, ast.Attribute) and ast.unparse(node) == "facts.seed":
        _replace(tree, node, ast.Constant(0))
        return "facts.seed"
    return None


def ignore_the_epoch(node, tree, case):
    """Every epoch is the first."""
    if isinstance(node, ast.Attribute) and ast.unparse(node) == "position.epoch":
        return _everywhere(tree, node, ast.Constant(0))
    return None


def forget_a_part_of_the_state(node, tree, case):
    """A key of the state is not restored."""
    if not (isinstance(node, ast.FunctionDef) and node.name in _RESTORE):
        return None
    kept = [
        statement for statement in node.body if not isinstance(statement, ast.Expr) or _text(statement)[0] not in "'\""
    ]
    if not kept or isinstance(kept[-1], ast.Pass):
        return None
    line = _text(kept[-1])
    node.body = [statement for statement in node.body if statement is not kept[-1]] or [ast.Pass()]
    return line


def save_an_array(node, tree, case):
    """A value of the state is a NumPy scalar, which no checkpoint gives back."""
    if not (isinstance(node, ast.FunctionDef) and node.name in _STATE):
        return None
    returns = [child for child in ast.walk(node) if isinstance(child, ast.Return) and child.value is not None]
    if not returns or ast.unparse(returns[-1].value) == "{}":
        return None
    returns[-1].value = _expression(f"{{**({ast.unparse(returns[-1].value)}), 'time': np.float64(1.0)}}")
    _ensure(tree, "import numpy as np")
    return node.name


def return_a_constant(node, tree, case):
    """The same comes out, whatever goes in."""
    if not (isinstance(node, ast.FunctionDef) and node.name in _CONSTANTS):
        return None
    if ast.unparse(node.body[-1]) == f"return {_CONSTANTS[node.name]}":
        return None  # it is one
    node.body = [ast.Return(_expression(_CONSTANTS[node.name]))]
    _ensure(tree, "import torch", "import numpy as np")
    return node.name


def shift_by_one(node, tree, case):
    """A batch, curve or sequence begins one later."""
    if not isinstance(node, ast.Return) or node.value is None:
        return None
    function = _function_of(tree, node)
    if function is None:
        return None
    shifted = {"batch": "({}) + 1", "steps_per_epoch": "({}) + 1"}
    if case.kind in _IN_TIME and function.name == "forward":
        text = "torch.roll({}, -1, dims=" + ("1" if case.kind == "readout" else "2") + ")"
    elif function.name in shifted:
        text = shifted[function.name]
    else:
        return None
    line = _text(node)
    node.value = _expression(text.format(ast.unparse(node.value)))
    _ensure(tree, "import torch")
    return line


def newest_first(node, tree, case):
    """The output runs backwards in time."""
    if not isinstance(node, ast.Return) or node.value is None or case.kind not in _IN_TIME:
        return None
    if (function := _function_of(tree, node)) is None or function.name != "forward":
        return None
    line = _text(node)
    node.value = _expression(f"({ast.unparse(node.value)}).flip({1 if case.kind == 'readout' else 2})")
    return line


def mix_the_examples(node, tree, case):
    """Every example sees the mean of the batch."""
    if not isinstance(node, ast.Return) or node.value is None or case.kind not in (*_IN_TIME, "transform"):
        return None
    if (function := _function_of(tree, node)) is None or function.name != "forward":
        return None
    line = _text(node)
    text = ast.unparse(node.value)
    node.value = _expression(f"(lambda out: out + 0.1 * out.mean(0, keepdim=True))({text})")
    return line


def cut_the_gradient(node, tree, case):
    """What is returned has no gradient."""
    if not isinstance(node, ast.Return) or node.value is None:
        return None
    function = _function_of(tree, node)
    if function is None or not (
        (function.name == "forward" and case.kind in _IN_TIME) or (function.name in ("penalty", "of", "_deviation"))
    ):
        return None
    if isinstance(node.value, ast.Constant):
        return None
    line = _text(node)
    node.value = _expression(f"({ast.unparse(node.value)}).detach()")
    return line


def sum_in_single_precision(node, tree, case):
    """Statistics are float32."""
    if isinstance(node, ast.Attribute) and ast.unparse(node) in ("torch.float64", "np.float64"):
        line = _text(node)
        _replace(tree, node, _expression(line.replace("64", "32")))
        return line
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "double":
        line = _text(node)
        node.func.attr = "float"
        return line
    return None


def swap_training_and_evaluation(node, tree, case):
    """What belongs to training happens in evaluation, and the other way round."""
    if isinstance(node, ast.Attribute) and ast.unparse(node) == "self.training" and isinstance(node.ctx, ast.Load):
        _replace(tree, node, _expression("not self.training"))
        return "self.training"
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if len(targets) == 1 and ast.unparse(targets[0]).endswith("training_only") and isinstance(node.value, ast.Constant):
        node.value = ast.Constant(not node.value.value)
        return _text(node)
    return None


def take_the_first_only(node, tree, case):
    """A loop ends after its first turn."""
    if isinstance(node, ast.For):
        line = f"for {_text(node.target)} in {_text(node.iter)}"
        node.iter = _expression(f"list({ast.unparse(node.iter)})[:1]")
        return line
    return None


def move_the_process(node, tree, case):
    """Building it changes the default dtype of everybody."""
    if isinstance(node, ast.FunctionDef) and node.name == "__init__":
        node.body.append(ast.parse("torch.set_default_dtype(torch.float64)").body[0])
        _ensure(tree, "import torch")
        return "__init__"
    return None


def draw_when_built(node, tree, case):
    """Building it draws from the global generator."""
    if isinstance(node, ast.FunctionDef) and node.name == "__init__" and case.kind not in (*_IN_TIME, "model"):
        node.body.append(ast.parse("np.random.random()").body[0])
        _ensure(tree, "import numpy as np")
        return "__init__"
    return None


def change_what_it_is_given(node, tree, case):
    """The first tensor that it is given is changed in place."""
    if not (isinstance(node, ast.FunctionDef) and node.name in ("forward", "penalty", "of")) or len(node.args.args) < 2:
        return None
    if isinstance(node.body[-1], ast.Raise):
        return None  # nobody calls it
    name = node.args.args[1].arg
    one = f"next(iter({name}.values()))" if node.name == "penalty" else name
    one = f"{name}.groups[0].inputs" if case.kind == "model" else one
    node.body.insert(0, ast.parse(f"{one}.data.mul_(0.5) if hasattr({one}, 'data') else None").body[0])
    return f"{node.name}({name})"


def push_away(node, tree, case):
    """Penalties reward, proximal steps and learning rates go the wrong way."""
    if not isinstance(node, ast.Return) or node.value is None or isinstance(node.value, ast.Constant):
        return None
    if (function := _function_of(tree, node)) is None or function.name not in ("penalty", "factor"):
        return None
    line = _text(node)
    node.value = _expression(f"-({ast.unparse(node.value)})")
    return line


def lose_a_column(node, tree, case):
    """Sums over all columns stand where sums of each column ought to."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sum"):
        return None
    if [getattr(argument, "value", None) for argument in node.args] != [0]:
        return None
    line = _text(node)
    node.args = []
    return line


RULES = {
    function.__name__.replace("_", " "): function
    for function in (
        ignore_an_option,
        drop_a_mask,
        draw_from_the_global_generator,
        ignore_the_seed,
        ignore_the_epoch,
        forget_a_part_of_the_state,
        save_an_array,
        return_a_constant,
        shift_by_one,
        newest_first,
        mix_the_examples,
        cut_the_gradient,
        sum_in_single_precision,
        swap_training_and_evaluation,
        take_the_first_only,
        move_the_process,
        draw_when_built,
        change_what_it_is_given,
        push_away,
        lose_a_column,
    )
}
