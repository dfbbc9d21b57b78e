"""The `transfer` block of a run file: what is taken over from a trained model, and what of the model stays frozen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, create_model

from visioncore_engine.options import Options, Patterns

__all__ = ["TransferOptions"]

if TYPE_CHECKING:
    _From = Options
else:  # `from` is a word of Python, which a class body cannot have as a field
    _source = Field(min_length=1, description="run folder (its best checkpoint), or a checkpoint file")
    _From = create_model("_From", __base__=Options, __module__=__name__, **{"from": (str, _source)})


class TransferOptions(_From):
    """Weights that a run starts from. They are loaded once, at the first step; a resumed run has its own."""

    parts: Patterns = Field(
        min_length=1,
        description="what is taken over: parts of the model by name ('core' is all below it), or patterns over names "
        "of parameters and buffers; heads are matched by the name of their group",
    )
    freeze: Patterns = Field(
        (), description="what does not train, in the same words: no gradient, no decay, no penalty, and eval mode"
    )

    @property
    def source(self) -> str:
        """What `from` says."""
        return str(getattr(self, "from"))
