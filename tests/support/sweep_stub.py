"""Stands for `visioncore train` in tests of sweeps: leaves what a run leaves, and ends as its rate says."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

folder, digest, name, rate = Path(sys.argv[1]), sys.argv[2], sys.argv[3], float(sys.argv[4])
record = {"name": name, "digest": digest}
starts = folder / "starts.txt"
with starts.open("a") as file:
    file.write(f"{' '.join(sys.argv[5:])}|{os.environ.get('CUDA_VISIBLE_DEVICES', '-')}\n")
(folder / "record.json").write_text(json.dumps(record))
print("it begins")
if rate == 3.0:  # a failure
    print("run failed: the numbers did it", file=sys.stderr)
    sys.exit(70)
if rate == 4.0:  # killed by something
    os.kill(os.getpid(), signal.SIGKILL)
if rate == 5.0 and len(starts.read_text().splitlines()) == 1:  # preempted once
    sys.exit(143)
if rate >= 100.0:  # waits for a signal, saves and stops
    ended = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    (folder / "waiting").write_text("")
    end = time.monotonic() + 60
    while not ended and time.monotonic() < end:
        time.sleep(0.01)
    sys.exit(143 if ended else 1)
(folder / "record.json").write_text(json.dumps({**record, "finished": "now"}))
(folder / "scores.json").write_text(json.dumps({"validation": {"toy_error": (rate - 0.3) ** 2}}))
