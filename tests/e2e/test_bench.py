"""make bench: that every row can be measured, and that nothing of a measurement stays. What it measures is no test's business."""
import json
import os
import shutil
import subprocess

import pytest

from podvisor import not_under_valgrind
from supervised import MARK, ROOT, SLOWER, built, marked_with

pytestmark = built

RUN = str(ROOT / "tests" / "bench" / "run")
FIGURES = {"start-1", "start-10", "memory-1", "rss-before", "idle", "idle-checks", "respawn", "respawn-tail", "stop", "stop-left",
           "stop-deaf", "stop-deaf-left", "log", "log-cpu", "log-line", "log-lost", "tree",
           "ws-64-10", "ws-65536-10", "http-100", "upgrade", "ws-memory", "ws-growth",
           "drain-told", "drain-backend", "drain-frame", "drain-peak", "drain-lost"}


@not_under_valgrind("what it measures would be valgrind")
def test_every_row_is_measured_and_nothing_stays(tmp_path):
    mark = f"bench-{os.getpid()}"
    done = subprocess.run([RUN, "--quick", "--rounds", "1", "--peers", "floor", "--json", str(tmp_path / "figures")],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300 * SLOWER,
                          env={**os.environ, MARK: mark})
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads((tmp_path / "figures").read_text())["figures"]
    assert FIGURES <= set(figures), done.stdout + done.stderr
    assert figures["log-lost"]["podvisor"] == [[0], [0]], "64 lines a write, then one"
    assert figures["stop-left"]["podvisor"] == figures["stop-deaf-left"]["podvisor"] == [[0]]
    assert marked_with(mark) == []


def test_a_row_or_a_peer_that_there_is_not_is_refused():
    for words in (["--only", "nothing"], ["--peers", "floor,nobody"], ["--rounds", "0"]):
        done = subprocess.run([RUN, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOWER)
        assert done.returncode == 2 and "error:" in done.stderr, done


@pytest.mark.skipif(os.geteuid() != 0, reason="a RAM disk of its own needs root")
@pytest.mark.skipif(not shutil.which("chromium-headless-shell"), reason="chromium-headless-shell is not installed")
def test_a_fault_of_chrome_can_be_measured():
    program = str(ROOT / "tests" / "bench" / "chrome_faults")
    done = subprocess.run([program, "--chrome", "chromium-headless-shell", "--only", "at the start"], capture_output=True,
                          text=True, timeout=120)
    head, _, row = done.stdout.splitlines()
    assert done.returncode == 0 and head.startswith("| fault | Chrome | blamed |"), done
    assert row.startswith("| RAM disk full at the start | chromium-headless-shell | disk | "), done
