"""An error that only says that another process is gone is told as that."""

from __future__ import annotations

import pytest

from visioncore_engine.attribution import missed

GLOO = (
    "[/__w/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:537] Read error [10.0.0.2]:165: Connection reset by peer"
)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError(f"{GLOO}. This is typically caused by a remote worker. GLHF!"), GLOO.partition("] ")[2]),
        (RuntimeError("NCCL error: remote process exited or there was a network error\nncclRemoteError: x"), None),
        (RuntimeError("expected a tensor of 3 dimensions"), ""),
        (ConnectionResetError("Connection reset by peer"), ""),  # of a logger, say
    ],
)
def test_what_a_collective_says_of_a_process_that_is_gone(error, told):
    assert missed(error) == (str(error).partition("\n")[0] if told is None else told)
