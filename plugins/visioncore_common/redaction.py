"""Keeping credentials out of what leaves the machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

__all__ = ["redact"]

# Whole names, so that `use_cls_token` and `num_memory_tokens` stay readable.
_SECRET = re.compile(
    r"(^|[_.-])((api|access|private|secret)_?key|password|passwd|secret|credentials?|(auth|access|api|bearer)_?token)$"
    r"|^token$",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_HIDDEN = "<hidden>"


def _is_secret(key: Any) -> bool:
    return isinstance(key, str) and _SECRET.search(key) is not None


def redact(value: Any) -> Any:
    """Copy plain values without secrets: values of key-like names, and user information in addresses.

    Examples
    --------
    >>> redact({"api_key": "abc", "url": "https://me:pw@host/x", "use_cls_token": True})
    {'api_key': '<hidden>', 'url': 'https://<hidden>@host/x', 'use_cls_token': True}
    """
    if isinstance(value, Mapping):
        return {key: _HIDDEN if _is_secret(key) and item is not None else redact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return _USERINFO.sub(_HIDDEN, value) if isinstance(value, str) else value
