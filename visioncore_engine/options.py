"""What a user may write for a component: frozen, strict pydantic models. Nothing here imports torch.

An options class is the documentation of a block: the field's type, bounds, default and description are what
``visioncore show`` prints, what the JSON Schema holds and what ``visioncore check`` enforces.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError, core_schema

from visioncore_engine.component import KINDS, Component, resolve_address
from visioncore_engine.errors import EngineError, PluginError, Problem, RunError, UserError
from visioncore_engine.schedule import Scheduled
from visioncore_engine.tracing import traced
from visioncore_engine.untouched import untouched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
    from pydantic.json_schema import JsonSchemaValue

__all__ = [
    "SLOT",
    "Choice",
    "LossOptions",
    "OptimizerOptions",
    "Options",
    "ParameterGroupOptions",
    "Patterns",
    "RegularizerOptions",
    "SamplerOptions",
    "Slot",
    "choose",
    "watching",
]


SLOT = "x-visioncore-slot"
"""Key that marks a slot in the JSON Schema of a single options class, which does not know the plugins."""


class Options(BaseModel):
    """Base of every options class: unknown keys, lax types, nan and inf are errors; instances never change."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)


@dataclass(frozen=True)
class Slot:
    """Marks an option that holds a component of a kind: ``Annotated[Choice, Slot("stage")]``.

    Parameters
    ----------
    kind
        Name of the kind, a key of `visioncore_engine.component.KINDS`.
    many
        The option is an ordered list of blocks (``tuple[Choice, ...]``): written as a list, or as a mapping from id
        to block.
    default
        Names that stand in where the option is not written; they are looked up like any other.
    """

    kind: str
    many: bool = False
    default: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no kind named {self.kind!r}; kinds: {', '.join(KINDS)}")

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say what may stand here; `config.schema` puts the union over the installed components in its place."""
        return {SLOT: f"{self.kind}-list" if self.many else self.kind}


@dataclass(frozen=True)
class Choice:
    """One selected block of a run file: the component and its typed options.

    Attributes
    ----------
    kind, name, plugin
        What was selected, and the plugin that provides it.
    origin
        ``distribution==version`` of the plugin, or its file.
    options
        The validated options.
    id
        How overlays and logs name the block among its siblings; the component's name unless the run file says other.
    component
        The declaration; its builder is imported by `build`, not before.
    where
        ``file:line`` of the block.
    """

    kind: str
    name: str
    plugin: str
    options: Options
    component: Component
    id: str = ""
    where: str = field(default="", compare=False)
    home: str = field(default="", compare=False)
    origin: str = field(default="", compare=False)

    def build(self, facts: Any) -> Any:
        """Import the builder and call it with the options and `facts`.

        Parameters
        ----------
        facts
            The frozen facts object of the kind (`visioncore_engine.contracts`).

        Raises
        ------
        UserError
            What the builder raised about its options, with the block's place filled in.
        PluginError
            Where the builder cannot be imported, or returned something that is not of the kind.
        RunError
            Where the builder failed in any other way; names the plugin.
        """
        builder = self._import()
        try:
            with traced(f"built {self.title}"):
                built = builder(self.options, facts)
        except UserError as error:
            raise error.at(self.where) from error
        except EngineError:
            raise
        except (Exception, SystemExit) as error:  # whatever a plugin raises is told with the plugin's name
            raise RunError(f"run failed: {self.title} could not be built: {type(error).__name__}: {error}") from error
        missing = _missing_members(built, KINDS[self.kind].returns)
        if missing:
            raise PluginError(
                Problem(
                    what=f"the builder of {self.title} returned {type(built).__name__}, without {', '.join(missing)}",
                    where=self.where,
                    todo=f"a {self.kind} must be a {KINDS[self.kind].returns.partition(':')[2]}",
                )
            )
        for watch in _watching:
            watch(self, built)
        return built

    def _import(self) -> Any:
        """Builder of the component."""
        with untouched(self.title, self.where):
            try:
                with traced(f"imported the builder of {self.title}"):
                    return resolve_address(self.component.build, self.home)
            except ImportError as error:
                what = str(error)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - a module may do anything; it is named
                what = f"{type(error).__name__}: {error}"
        raise PluginError(Problem(what=f"{self.title} cannot be imported: {what}", where=self.where))

    @property
    def title(self) -> str:
        """The component in words: ``stage 'conv3d' of plugin 'visioncore_neural' (visioncore-engine==0.1.0)``."""
        origin = f" ({self.origin})" if "==" in self.origin else ""  # a single file has the plugin's name
        return f"{self.kind} {self.name!r}" + (f" of plugin {self.plugin!r}{origin}" if self.plugin else "")

    def dump(self) -> dict[str, Any]:
        """Return the block as plain values, filled with defaults, ready for YAML or JSON."""
        return {"name": self.name, **self.options.model_dump(mode="json")}

    @classmethod
    def _validate(cls, value: Any, info: ValidationInfo) -> Choice:
        if isinstance(value, Choice):
            return value
        if isinstance(value, dict) and "$choice" in value and info.context:
            choice: Choice = info.context["choices"][value["$choice"]]
            return choice
        raise PydanticCustomError("choice", "expected a block that names a component")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Blocks are resolved by `config.resolve` and handed in through the validation context."""
        return core_schema.with_info_plain_validator_function(
            cls._validate, serialization=core_schema.plain_serializer_function_ser_schema(Choice.dump)
        )


_watching: list[Callable[[Choice, Any], None]] = []


@contextmanager
def watching(watch: Callable[[Choice, Any], None]) -> Iterator[None]:
    """Show `watch` everything that is built meanwhile: the choice, and what its builder returned."""
    _watching.append(watch)
    try:
        yield
    finally:
        _watching.remove(watch)


def _missing_members(built: Any, address: str) -> list[str]:
    """Name what a built object lacks of the protocol or class at `address`."""
    contract = resolve_address(address)
    if not getattr(contract, "_is_protocol", False):
        return [] if isinstance(built, contract) else [f"the base class {contract.__name__}"]
    members = [name for name in (*contract.__annotations__, *vars(contract)) if not name.startswith("_")]
    if "__call__" in vars(contract):
        members.append("__call__")
    return [name for name in dict.fromkeys(members) if not hasattr(built, name)]


def choose(
    kind: str, component: Component, options: Options | None = None, *, plugin: str = "", home: str = ""
) -> Choice:
    """Select a component in plain Python, as a run file would.

    Examples
    --------
    >>> from visioncore_engine import Component, choose
    >>> from visioncore_engine.options import Options
    >>> component = Component(name="doubling", summary="twice the input", build="my_lab.stages:Doubling")
    >>> choose("stage", component, Options()).name
    'doubling'
    """
    if options is None:
        address = component.options or KINDS[kind].options
        options = resolve_address(address, home)()
    return Choice(
        kind=kind,
        name=component.name,
        plugin=plugin,
        options=options,
        component=component,
        id=component.name,
        home=home,
    )


def _one_or_many(value: Any) -> Any:
    # JSON has no tuples, and after a Python function a strict model takes no list for one.
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Patterns = Annotated[tuple[str, ...], BeforeValidator(_one_or_many, json_schema_input_type=str | tuple[str, ...])]
"""One or several shell-style patterns over full dotted names (``*`` also matches dots). One that matches nothing is
an error."""


class SamplerOptions(Options):
    """Options that every sampler has."""

    batch_size: int = Field(
        256,
        ge=1,
        description="predicted frames (or examples) in one global batch, over all processes and micro-batches",
    )
    batches_per_epoch: int | None = Field(
        None, ge=1, description="optimizer steps in an epoch; by default one pass over the training data"
    )


class LossOptions(Options):
    """Options that every loss has."""

    weighting: str = Field(
        "samples",
        description="what weighs alike: 'samples' (every valid value), or a label of the data ('sessions', 'subjects', "
        "…) or the word for target columns ('units'), each by fixed coefficients from the whole training set",
    )


class ParameterGroupOptions(Options):
    """Parameters that have their own rate or decay."""

    match: Patterns = Field(description="parameter names, e.g. 'core.*'")
    lr_scale: float = Field(1.0, ge=0, description="factor on the optimizer's `lr`")
    weight_decay: float | None = Field(None, ge=0, description="replaces the optimizer's `weight_decay`")


class OptimizerOptions(Options):
    """Options that every optimizer has; the engine carries them out."""

    lr: float = Field(1e-3, gt=0, description="base learning rate")
    weight_decay: float = Field(
        0.0, ge=0, description="decay of parameters with two or more dimensions that no `no_decay` pattern matches"
    )
    no_decay: Patterns = Field((), description="parameters that are never decayed")
    clip: float | None = Field(None, gt=0, description="bound on the global norm of the gradient")
    accumulate: int = Field(1, ge=1, description="micro-batches that one optimizer step's batch is cut into")
    groups: dict[str, ParameterGroupOptions] = Field(
        default_factory=dict, description="named parameter groups; what no group matches forms the group 'rest'"
    )


class RegularizerOptions(Options):
    """Options that every regularizer has."""

    strength: Scheduled = Field(description="factor on the penalty: a number or a schedule")
    match: Patterns = Field(description="names of what is penalised, e.g. 'readouts.*.features' of parameters")
    of: Literal["parameters", "outputs"] = Field(
        "parameters", description="what is penalised; a regularizer is made for one of them"
    )


def slots(options: type[BaseModel]) -> Mapping[str, Slot]:
    """Name the options of a class that hold components, with their slots."""
    return {
        name: marker
        for name, info in options.model_fields.items()
        for marker in info.metadata
        if isinstance(marker, Slot)
    }
