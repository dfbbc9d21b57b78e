"""``visioncore data``: demonstrations, conversions, and a check that names session, array and first bad frame."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from neural_recordings import make, real_data, sessions

from visioncore_engine.cli import main
from visioncore_neural.data.folder import write_session


def run(capsys, *words):
    code = main(["data", *map(str, words)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


SMALL = ("--set", "num_sessions=2", "--set", "duration=50", "--set", "trial=4", "--set", "num_repeats=1")


def test_a_demo_is_written_checked_and_opened(tmp_path, capsys):
    code, out, _ = run(capsys, "demo", tmp_path / "rec", *SMALL)
    assert code == 0
    assert "m2_a" in out
    assert run(capsys, "check", tmp_path / "rec", "--frames", "32") == (
        0,
        "".join(f"{tmp_path}/rec/{name}: 1680 frames, 24 units: good\n" for name in ("m1_a", "m2_a")),
        "",
    )
    assert len(sessions(tmp_path / "rec").groups) == 2
    code, _, err = run(capsys, "demo", tmp_path / "rec", *SMALL)
    assert code == 2
    assert "exists already" in err


def test_a_demo_repeats_for_one_seed_only(tmp_path, capsys):
    known = []
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(capsys, "demo", tmp_path / folder, *SMALL, "--seed", seed)
        known.append(json.loads((tmp_path / folder / "m1_a" / "session.json").read_text())["fingerprint"])
    assert known[0] == known[1] != known[2]


def test_convert_stores_a_shared_stimulus_once(tmp_path, capsys):
    for name in ("m1_a", "m2_a"):
        np.savez(tmp_path / f"{name}.npz", stim=make().stim, robs=make(name).robs, dt=0.01)
    files = [tmp_path / "m1_a.npz", tmp_path / "m2_a.npz"]
    assert run(capsys, "convert", *files, tmp_path / "out", "--share-stimuli")[0] == 0
    assert len(list((tmp_path / "out").rglob("stim*.npy"))) == 0
    assert len(list((tmp_path / "out" / "stimuli").iterdir())) == 1
    code, out, _ = run(capsys, "check", tmp_path / "out")  # which finds the sessions, and only them
    assert code == 0
    assert [line.partition(":")[0] for line in out.splitlines() if "warning" not in line] == [
        f"{tmp_path}/out/{name}" for name in ("m1_a", "m2_a")
    ]


def test_convert_takes_names_axes_and_options(tmp_path, capsys):
    recording = make()
    arrays = {
        "segment": recording.trial,
        "stim": recording.stim[:, 0],
        "spikes": recording.robs,
        "tier": recording.split,
    }
    np.savez(tmp_path / "m1_a.npz", **arrays)
    words = ("convert", tmp_path / "m1_a.npz", tmp_path / "out", "--key", "trial=segment", "--axes", "THW")
    code, out, err = run(capsys, *words, "--set", "dt=0.02", "--set", "subject=m1")
    assert (code, err) == (0, "")
    assert out == f"{tmp_path}/out/m1_a: stimulus 240x1x4x5, 3 units, 0.02 s per frame\n"
    group = sessions(tmp_path / "out").groups[0]
    assert (group.dt, group.labels["subjects"]) == (0.02, "m1")
    assert run(capsys, *words, "--set", "dt=0.02")[0] == 2
    assert run(capsys, *words, "--set", "dt=0.02", "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--set", "dt=-1"), "--set: dt: expected a number > 0"),
        (("--set", "dtt=1"), "--set: dtt: unknown key 'dtt'; did you mean 'dt'?"),
        (("--key", "trial"), "is written key=value"),
        (("--axes", "XY"), "axes"),
        (("--reader", "npx"), "npz"),
        (("--set", "dt=0.02", "--key", "trail=x"), "recordings have stim"),
    ],
)
def test_mistakes_on_the_line_are_told_without_a_traceback(tmp_path, capsys, words, message):
    np.savez(tmp_path / "x.npz", stim=make().stim, robs=make().robs)
    code, _, err = run(capsys, "convert", tmp_path / "x.npz", tmp_path / "out", *words)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_an_action_is_required_and_help_has_an_example(capsys):
    assert run(capsys)[0] == 2
    assert "visioncore data convert" in run(capsys, "--help")[1]
    for action in ("demo", "convert", "check"):
        code, out, _ = run(capsys, action, "--help")
        assert code == 0
        assert f"visioncore data {action} re" in out


def test_nothing_to_check_is_an_error(tmp_path, capsys):
    code, _, err = run(capsys, "check", tmp_path)
    assert (code, "holds nothing that folder reads" in err) == (2, True)
    code, _, err = run(capsys, "check", tmp_path / "nowhere")
    assert (code, "no such file or folder" in err) == (2, True)


# ---------------------------------------------------------------------------------------------------------------
# The table of bad data: each row is a session that is wrong in one way


def overlapping():
    stim = make().stim.copy()
    stim[120:160] = stim[:40]  # trial 3 validates what trial 0 trains on
    return make(stim=stim)


def float_stim(**bad):
    stim = make().stim.astype(np.float32)
    for frame, value in bad["at"]:
        stim[frame, 0, 1, 2] = value
    return make(stim=stim, valid=bad.get("valid", np.ones(240, bool)))


def float_robs(frame, value):
    robs = make().robs.astype(np.float32)
    robs[frame, 1] = value
    return make(robs=robs, valid=np.ones(240, bool))


def unequal_repeats():
    repeat = np.full(240, -1)
    repeat[:40] = repeat[40:80] = np.arange(40)
    return make(repeat_frame=repeat)


BAD = {
    "D02 nothing valid": (lambda: make(valid=np.zeros(240, bool)), "valid: no response is valid in any frame"),
    "D05 NaN response": (
        lambda: float_robs(102, np.nan),
        "robs: 1 valid responses are not finite; first at frame 102, unit 'u1'",
    ),
    "D06 NaN stimulus": (
        lambda: float_stim(at=[(7, np.nan), (9, np.inf)]),
        "stim: 2 values are not finite in frames that are valid; first at frame 7",
    ),
    "D06 NaN behavior": (
        lambda: make(behavior=np.full((240, 2), np.nan), valid=np.ones(240, bool)),
        "behavior: 480 values are not finite in frames that are valid; first at frame 0, column 0",
    ),
    "D09 overlap": (overlapping, "split: 1 trials show the same stimulus in train and validation; first: frame 120"),
    "D15 negative": (lambda: float_robs(5, -0.2), "robs: 1 valid responses are negative; first at frame 5"),
    "split": (lambda: make(split=np.full(240, 7)), "split: 240 values have no meaning (0 train"),
    "repeats": (unequal_repeats, "frames 0 and 40 are one frame of a repeated clip but their stimuli differ"),
    "short": (lambda: make(trial=np.arange(240) // 10), "a window needs 32 frames of one trial and split in a row"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_session_is_refused_by_name_array_and_first_frame(tmp_path, capsys, name):
    recording, message = BAD[name][0](), BAD[name][1]
    write_session(recording, tmp_path / "m1_a")
    write_session(make("m2_a"), tmp_path / "m2_a")
    code, out, err = run(capsys, "check", tmp_path, "--frames", "32")
    assert code == 2
    assert message in err
    assert f"session 'm1_a' ({tmp_path}/m1_a)" in err
    assert f"{tmp_path}/m2_a: 240 frames, 3 units: good" in out  # the others are looked at all the same
    assert "Traceback" not in err


def test_a_nan_stimulus_in_an_invalid_frame_is_legal(tmp_path, capsys):
    valid = np.ones(240, bool)
    valid[[7, 9]] = False
    write_session(float_stim(at=[(7, np.nan), (9, np.nan)], valid=valid), tmp_path / "m1_a")
    assert run(capsys, "check", tmp_path)[0] == 0


def test_d17_a_changed_value_is_found_by_its_hash(tmp_path, capsys):
    write_session(make(), tmp_path / "m1_a")
    path = tmp_path / "m1_a" / "robs.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    code, _, err = run(capsys, "check", tmp_path)
    assert code == 2
    assert "robs.npy: robs: the values are not those that were written" in err


def constant_unit():
    robs = make().robs.copy()
    robs[:, 1] = 2
    return make(robs=robs)


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        pytest.param(constant_unit, "1 units have the same response in every valid frame", id="D13"),
        pytest.param(lambda: make(dt=1e-5), "the mean response is faster than any cell", id="D23"),
        (lambda: make(dt=0.9), "is long for a frame"),
        (lambda: make(robs=make().robs * 0.5), "counts should be whole numbers"),
        (lambda: make(eyepos=make().eyepos * 100), "is it in degrees?"),
        (lambda: make(trial=np.arange(240) // 40 % 3), "3 trial numbers come back"),
    ],
)
def test_what_looks_wrong_is_a_warning(tmp_path, capsys, recording, message):
    write_session(recording(), tmp_path / "m1_a")
    code, out, _ = run(capsys, "check", tmp_path)
    assert code == 0
    assert f"warning: session 'm1_a' ({tmp_path}/m1_a): " in out
    assert message in out


@pytest.mark.real_data
def test_real_files_can_be_checked_where_they_are(capsys):
    words = ("--reader", "npz", "--key", "trial=segment", "--axes", "TCW", "--frames", "32")
    code, out, _ = run(capsys, "check", real_data() / "rat_rgc_bars" / "retina1.npz", *words)
    assert (code, out.endswith("129600 frames, 6 units: good\n")) == (0, True)


def test_no_torch_is_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", stim=make().stim, robs=make().robs, dt=0.01)
    script = (
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from visioncore_engine.cli import main\n"
        f"root = {str(tmp_path)!r}\n"
        f"assert main(['data', 'demo', root + '/demo', *{SMALL!r}]) == 0\n"
        "assert main(['data', 'convert', root + '/x.npz', root + '/out']) == 0\n"
        "assert main(['data', 'check', root + '/demo', root + '/out']) == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
