"""Converting: what is read from the folder is what the source held."""

from __future__ import annotations

import numpy as np
import pytest
from neural_recordings import choice, make, real_data

from visioncore_engine.contracts import ReaderFacts
from visioncore_engine.errors import DataError
from visioncore_neural.data.audit import audit
from visioncore_neural.data.convert import convert
from visioncore_neural.data.fingerprint import recording_fingerprint


class InMemory:
    def __init__(self, recording):
        self.recording = recording

    def read(self):
        return self.recording


def test_each_recording_becomes_a_folder_of_its_name(tmp_path):
    made = dict.fromkeys(("m1_a", "m2_a"))
    for recording, folder in convert([InMemory(make(name)) for name in made], tmp_path):
        made[recording.name] = folder
        assert recording.fingerprint == recording_fingerprint(make(recording.name))
    assert made == {"m1_a": tmp_path / "m1_a", "m2_a": tmp_path / "m2_a"}


@pytest.mark.parametrize("name", ["../m1_a", "a/b", "", ".."])
def test_a_name_that_would_leave_the_folder_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="cannot name a folder"):
        list(convert([InMemory(make("m1_a", name=name))], tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("path", "options"),
    [
        ("rat_rgc_bars/retina1.npz", {"keys": {"trial": "segment"}, "axes": "TCW"}),
        ("mouse_rgc_chromatic/rec4.npz", {"keys": {"trial": None}, "axes": "THC"}),
        ("salamander_ds_motion/retina1.npz", {"axes": "THC"}),
    ],
)
def test_real_recordings_convert_without_loss_and_pass_the_check(tmp_path, path, options):
    reader = choice("reader", "npz", **options).build(ReaderFacts(real_data() / path))
    source = reader.read()
    ((recording, _),) = convert([reader], tmp_path)
    for key, array in source.arrays().items():
        np.testing.assert_array_equal(np.asarray(recording.array(key)), array)
    found = audit(recording, frames=32)
    assert not found.errors
