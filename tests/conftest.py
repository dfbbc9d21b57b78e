"""What tests of the engine and of plugins share."""

from __future__ import annotations

import pytest


@pytest.fixture
def handlers():
    """What the callback `unruly` does at which place; nothing before and after the test."""
    from unruly_parts import HANDLERS

    HANDLERS.clear()
    yield HANDLERS
    HANDLERS.clear()
