"""The pod's memory, in a cgroup with a limit as Kubernetes gives a container one: the guard makes room in order, and
without it the kernel kills."""
import http.server
import os
import pathlib
import re
import shutil
import socket
import threading
import urllib.request
import uuid

import pytest

from supervised import DEADLINE_S, TREE, alive, await_true, built, identity, pods  # noqa: F401

MIB = 1 << 20
LIMIT = 512 * MIB
PYTHON = "/usr/bin/python3"


def own_group():
    """Where this process stands among the memory cgroups: (directory, version); None: nowhere."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        v1 = "memory" in controllers.split(",")
        place = pathlib.Path("/sys/fs/cgroup/memory" if v1 else "/sys/fs/cgroup") / path.lstrip("/")
        if v1 and (place / "memory.limit_in_bytes").exists():
            return place, 1
        if controllers == "" and "memory" in (place / "cgroup.subtree_control").read_text().split():
            return place, 2
    return None


class Group:
    """A memory cgroup with a limit, below our own."""

    def __init__(self, limit):
        parent, self.version = own_group()
        self.path = parent / f"podvisor-e2e-{uuid.uuid4().hex}"
        self.path.mkdir()
        (self.path / ("memory.limit_in_bytes" if self.version == 1 else "memory.max")).write_text(str(limit))

    def wrap(self):
        """What has a command run in it, with mounts of its own that go with it."""
        return ("sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec unshare -m -- "$@"', "sh")

    def kills(self):
        text = (self.path / ("memory.oom_control" if self.version == 1 else "memory.events")).read_text()
        return int(re.search(r"^oom_kill (\d+)$", text, re.M)[1])

    def remove(self):
        def removed():
            try:
                self.path.rmdir()
            except OSError:
                return False
            return True
        await_true("the end of all in the cgroup", removed)


def missing():
    """Why no memory cgroup with a limit can be made here, or None."""
    try:
        if own_group() is None:
            return "no memory cgroup is visible, or it delegates nothing"
        Group(LIMIT).remove()
    except OSError as e:
        return f"no memory cgroup can be made here: {e}"
    return None


WHY_NOT = "needs root" if os.geteuid() != 0 else missing()
pytestmark = [
    built,
    pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT)),
    pytest.mark.skipif(not shutil.which("chromium-headless-shell"), reason="chromium-headless-shell is not installed"),
]


@pytest.fixture
def group():
    one = Group(LIMIT)
    yield one
    one.remove()


LEAK = b"""<script>const held = []; setInterval(() => held.push(new Uint8Array(6 << 20).fill(1)), 1000)</script>"""


@pytest.fixture
def leaking_page():
    """The address of a page that leaks 6 MiB a second for as long as it is open."""
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(LEAK)))
            self.end_headers()
            self.wfile.write(LEAK)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


# 5 MiB a second onto the RAM disk, each file closed; when it is full it waits for room.
FILLER = """
import itertools, os, sys, time
for i in itertools.count():
    try:
        with open(os.path.join(sys.argv[1], f"file-{i}"), "wb") as f:
            f.write(b"x" * (1 << 20))
    except OSError:
        pass
    time.sleep(0.2)
"""

# Leaks 6 MiB a second in its first life, as after a bad request; a new process is well.
GROWER = """
import os, sys, time
held = []
bad = not os.path.exists(sys.argv[1])
open(sys.argv[1], "w").close()
while True:
    if bad:
        held.append(b"x" * (6 << 20))
    time.sleep(1)
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def start(group, pods, leaking_page, tmp_path):  # noqa: F811
    """A pod in the cgroup, in whose Chrome somebody has opened the page."""
    def start(guard):
        disk, address = tmp_path / "disk", f"127.0.0.1:{free_port()}"
        pod = pods({
            "memory": {"guard": guard},
            "volumes": {"disk": {"path": str(disk), "size": "64Mi", "mount": "create", "purge": ["file-*"], "high": "99%", "low": "98%"},
                        "chrome": {"path": str(tmp_path / "chrome"), "size": "1Gi", "mount": "any"}},
            "browsers": {"chrome": {"executable": shutil.which("chromium-headless-shell"), "listen": address, "volume": "chrome"}},
            "workers": {
                "api": {"command": [TREE], "critical": True},
                "idle": {"command": [TREE]},
                "filler": {"command": [PYTHON, "-c", FILLER, str(disk)], "depends_on": ["volume:disk"]},
                "grower": {"command": [PYTHON, "-c", GROWER, str(tmp_path / "was-there")], "depends_on": ["browser:chrome"]},
            },
        }, wrap=group.wrap())
        pod.log(msg="^ready: generation 1", browser="chrome")
        opened = urllib.request.Request(f"http://{address}/json/new?{leaking_page}", method="PUT")
        urllib.request.urlopen(opened, timeout=DEADLINE_S).close()
        return pod
    return start


UNTOUCHED = ("api", "idle", "filler")


def test_the_guard_makes_room_in_order_and_the_kernel_kills_nobody(start, group):
    pod = start("on")
    before = {name: identity(pod.ready(name)) for name in UNTOUCHED}
    pod.ready("grower")
    purge = pod.log(msg=r"of the pod's 512Mi memory is used, above 90%.*: purging the volume disk", seconds=4 * DEADLINE_S)
    recycle = pod.log(msg="above 90%.*: recycling the browser chrome", after=purge, seconds=4 * DEADLINE_S)
    restart = pod.log(msg="above 90%.*: restarting the worker grower, which grew by", after=recycle, seconds=4 * DEADLINE_S)
    pod.log("grower", "^stopping: the pod's memory is short, and it grew most", after=restart)
    pod.ready("grower", after=restart)
    pod.log(msg="of the pod's 512Mi memory is used, below 90%", after=restart, seconds=4 * DEADLINE_S)
    print(*(f"{line['ts']} {line.msg}" for line in pod.find(msg="of the pod's 512Mi memory")), sep="\n")
    assert not pod.find(msg="recycling the browser|restarting the worker", until=purge.index)
    assert not pod.find(msg="restarting the worker", until=recycle.index)
    assert len(pod.find(msg="restarting the worker")) == 1
    assert group.kills() == 0
    assert alive(before.values()) == list(before.values()), pod.tail()
    memory = pod.ask("GET", "/api/v1/status").json()["memory"]
    assert memory["limit_bytes"] == LIMIT and memory["oom_kills"] == 0 and memory["guard"]["state"] == "calm"
    assert memory["guard"]["actions"]["recycle"] == memory["guard"]["actions"]["restart"] == 1
    assert memory["guard"]["actions"]["purge"] >= 1
    assert pod.stop() == 0


def test_without_the_guard_the_same_pod_is_killed_by_the_kernel(start, group):
    pod = start("off")
    pod.ready("grower")
    await_true("the kernel's kill", lambda: group.kills() > 0, seconds=8 * DEADLINE_S)
    assert not pod.find(msg="memory is used, above")
