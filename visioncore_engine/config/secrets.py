"""Words that look like secrets, which no record, log or message may show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["HIDDEN", "hides_password", "is_secret_key", "redact", "redact_command"]

HIDDEN = "<hidden>"

_WORDS = (
    r"(?:(?:api|access|secret|private)[_-]?key|(?:api|access|auth|bearer|hf|wandb)[_-]?token"
    r"|credentials?|passphrase|passwd|password|pwd|secret)"
)
_KEY = re.compile(rf"(?:^|[_.-]){_WORDS}$|^(?:auth|token)$", re.IGNORECASE)
_IN_TEXT = re.compile(
    rf"""((?:{_WORDS}|\b(?:auth|token))["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^,}}\]\s]+)""", re.IGNORECASE
)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/@\s:]*:[^/@\s]+)@")


def is_secret_key(key: str) -> bool:
    """Whether a key names a secret: ``api_key``, ``token``, ``password`` and the like."""
    return _KEY.search(key) is not None


def hides_password(value: Any) -> bool:
    """Whether a text is an address with a password in it."""
    return isinstance(value, str) and _URL.search(value) is not None


def redact(value: Any, key: str = "") -> Any:
    """Copy plain values with every secret replaced: values of secret keys, passwords in addresses."""
    if isinstance(value, Mapping):
        return {name: redact(item, str(name)) for name, item in value.items()}
    if is_secret_key(key) and value is not None and value != "":
        return HIDDEN
    if isinstance(value, str):
        return _URL.sub(rf"\1{HIDDEN}@", value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [redact(item) for item in value]
    return value


def redact_command(arguments: Sequence[str]) -> list[str]:
    """Copy a command line with every secret replaced, as in ``--set data.password=…`` and ``{token: …}``."""
    return [_IN_TEXT.sub(rf"\1{HIDDEN}", _URL.sub(rf"\1{HIDDEN}@", argument)) for argument in arguments]
