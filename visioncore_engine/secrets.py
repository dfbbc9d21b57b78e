"""Words that look like secrets, which no record, log or message may show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["HIDDEN", "SECRETS_VARIABLE", "hidden_keys", "hides_password", "is_secret_key", "redact", "redact_command"]

HIDDEN = "<hidden>"

SECRETS_VARIABLE = "VISIONCORE_SECRETS"
"""Environment variable in which a launcher hands secrets on: a JSON list of ``key=value``, as for ``--set``."""

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


def hidden_keys(value: Any, key: str = "") -> list[str]:
    """Dotted keys of plain values at which something was replaced by `redact`; ``--set`` can write each of them.

    What is hidden in a list, or below a name with a dot, is found at the key of the whole list or mapping.
    """
    if isinstance(value, str):
        return [key] if HIDDEN in value else []
    if isinstance(value, Mapping):
        below = {str(name): hidden_keys(item, f"{key}.{name}" if key else str(name)) for name, item in value.items()}
        if any(found and "." in name for name, found in below.items()):
            return [key]
        return [found for keys in below.values() for found in keys]
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [key] if any(hidden_keys(item, key) for item in value) else []
    return []


def redact_command(arguments: Sequence[str]) -> list[str]:
    """Copy a command line with every secret replaced, as in ``--set data.password=…`` and ``{token: …}``."""
    return [_IN_TEXT.sub(rf"\1{HIDDEN}", _URL.sub(rf"\1{HIDDEN}@", argument)) for argument in arguments]
