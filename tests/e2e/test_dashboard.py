"""The dashboard as a browser draws it."""
import re
import shutil
import subprocess

import pytest

from podvisor import SLOWER

BROWSER = shutil.which("chromium-headless-shell")
pytestmark = pytest.mark.skipif(not BROWSER, reason="chromium-headless-shell is not installed")


def draw(pod):
    """The page after its first answers, as HTML."""
    done = subprocess.run([BROWSER, "--no-sandbox", "--disable-gpu", "--timeout=4000", "--dump-dom", f"http://127.0.0.1:{pod.port}/"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60 * SLOWER)
    return done.stdout


def test_each_step_of_a_wait_is_no_news(podvisor):
    pod = podvisor({"workers": {"slow": {"command": ["sleep", "1000"], "readiness": {"file": "/nonexistent"}},
                                "waits": {"command": ["sleep", "1000"], "depends_on": ["slow"]}}})
    pod.wait("the second step", lambda: pod.events(level="debug", text="waiting: worker:slow is running"))
    shown = pod.wait("the list of events", lambda: re.findall(r'class="event (\w+)".*?<span class="text">([^<]*)', draw(pod)), 60)
    assert ("info", "waiting: worker:slow is starting") in shown
    assert "debug" not in {level for level, _ in shown}
