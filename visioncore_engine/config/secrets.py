"""Words that look like secrets, which no record, log or message may show."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["HIDDEN", "hides_password", "is_secret_key", "redact"]

HIDDEN = "<hidden>"

_KEY = re.compile(
    r"(^|[_.-])((api|access|secret|private)[_-]?key|(api|access|auth|bearer|hf|wandb)[_-]?token"
    r"|credentials?|passphrase|passwd|password|pwd|secret)$|^(auth|token)$",
    re.IGNORECASE,
)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/@\s:]*:[^/@\s]+)@")
_KEY_VALUE = re.compile(r"^(?P<key>(--set[= ])?[^=\s]+)=(?P<value>.*)$", re.DOTALL)


def is_secret_key(key: str) -> bool:
    """Whether a key names a secret: ``api_key``, ``token``, ``password`` and the like."""
    return _KEY.search(key) is not None


def hides_password(value: Any) -> bool:
    """Whether a text is an address with a password in it."""
    return isinstance(value, str) and _URL.search(value) is not None


def redact(value: Any, key: str = "") -> Any:
    """Copy plain values with every secret replaced: values of secret keys, passwords in addresses, ``token=…``."""
    if isinstance(value, Mapping):
        return {name: redact(item, str(name)) for name, item in value.items()}
    if is_secret_key(key) and value is not None and value != "":
        return HIDDEN
    if isinstance(value, str):
        assignment = _KEY_VALUE.match(value)
        if assignment is not None and is_secret_key(assignment["key"].rpartition(".")[2]):
            return f"{assignment['key']}={HIDDEN}"
        return _URL.sub(rf"\1{HIDDEN}@", value)
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [redact(item) for item in value]
    return value
