"""podvisor under a supervisor of its own that wants to be told (systemd's Type=notify, podman --sdnotify): what it says itself,
and what the command of `run -- COMMAND` says through it."""
import os
import re
import shutil
import signal
import socket

import pytest

from supervised import DEADLINE_S, TREE, await_true, built, environ_of, pods, run, workers

pytestmark = [built, pytest.mark.skipif(not shutil.which("systemd-notify"), reason="systemd-notify is not installed")]


@pytest.fixture(params=["path", "abstract"])
def outer(request, directory):
    """Where podvisor's own supervisor listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        name = os.path.join(directory, "outer") if request.param == "path" else f"@podvisor-test-{os.getpid()}-{os.path.basename(directory)}"
        listening.bind(name.replace("@", "\0", 1) if name[0] == "@" else name)
        listening.settimeout(DEADLINE_S)
        yield Outer(listening, name)


class Outer:
    def __init__(self, listening, name):
        self.socket, self.env = listening, {"NOTIFY_SOCKET": name}

    def hear(self):
        """The lines of the next message."""
        return self.socket.recv(65536).decode().split("\n")

    def silent(self):
        self.socket.setblocking(False)
        try:
            return self.socket.recv(65536)
        except BlockingIOError:
            return None
        finally:
            self.socket.settimeout(DEADLINE_S)


def with_socket(outer, pods):
    """pods takes NOTIFY_SOCKET out of the environment."""
    def start(config):
        return pods(config, wrap=("env", f"NOTIFY_SOCKET={outer.env['NOTIFY_SOCKET']}"))
    return start


def test_it_says_ready_when_everything_critical_is_and_stopping_when_it_stops(outer, pods):
    gate = ["sh", "-c", "until [ -e own-open ]; do sleep 0.05; done; touch own-up; sleep 1000"]
    pod = with_socket(outer, pods)(workers(api={"command": gate, "critical": True, "readiness": {"exec": ["test", "-e", "own-up"], "interval": "50ms"}}))
    pod.log("api", "^running")
    pod.settle()
    assert outer.silent() is None
    (pod.path / "own-open").touch()
    assert outer.hear() == ["READY=1", "STATUS=everything critical is ready"]
    pod.kill(signal.SIGTERM)
    assert outer.hear() == ["STOPPING=1", "STATUS=stopping: SIGTERM"]
    assert pod.wait() == 0
    assert outer.silent() is None


def test_it_says_when_it_reads_its_configuration_again(outer, pods):
    pod = with_socket(outer, pods)(workers(one=[TREE]))
    assert outer.hear()[0] == "READY=1"
    for config in workers(one=[TREE], two=[TREE]), "{ no json":
        pod.reload(config)
        reloading, stamp = outer.hear()
        assert reloading == "RELOADING=1" and re.fullmatch(r"MONOTONIC_USEC=\d+", stamp)
        assert outer.hear() == ["READY=1"]
    assert pod.stop() == 0


def test_its_own_socket_reaches_no_worker(outer, pods):
    pod = with_socket(outer, pods)(workers(one=[TREE]))
    pod.log("one", "^ready$", own=False)
    environment = environ_of(pod.ready("one"))
    assert [name for name in environment if name.startswith(b"NOTIFY_SOCKET=")] != []
    assert f"NOTIFY_SOCKET={outer.env['NOTIFY_SOCKET']}".encode() not in environment
    assert pod.stop() == 0


def test_what_the_single_command_says_is_passed_on_but_for_what_is_of_its_processes(outer, run):
    script = ("import os, socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.connect('\\0' + os.environ['NOTIFY_SOCKET'][1:])\n"
              "s.send(f'READY=1\\nMAINPID={os.getpid()}\\nSTATUS=Serving 3 clients'.encode())\n"
              "s.send(b'BARRIER=1')\ns.send(b'FDSTORE=1\\nFDNAME=x')\ns.send(b'EXTEND_TIMEOUT_USEC=5000000\\nX_MINE=1')\n"
              "input()\ns.send(b'STOPPING=1\\nERRNO=2')\n")
    command = run("/usr/bin/python3", "-c", script, env=outer.env, stdin=-1)
    assert outer.hear() == ["READY=1", "STATUS=Serving 3 clients"]
    assert outer.hear() == ["EXTEND_TIMEOUT_USEC=5000000", "X_MINE=1"]
    assert command.result(b"\n")[:2] == (0, b"")
    assert outer.hear() == ["STOPPING=1", "ERRNO=2"]
    assert outer.silent() is None


def test_the_stock_client_waits_until_it_was_passed_on(outer, run):
    assert run("systemd-notify", "--ready", "--status=up", env=outer.env).result()[0] == 0
    assert set(outer.hear()) >= {"READY=1", "STATUS=up"}


def test_a_supervisor_that_takes_nothing_does_not_hold_podvisor_up(outer, run):
    """Its queue is full; what was said last is said when it reads again."""
    script = ("import os, socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\ns.connect('\\0' + os.environ['NOTIFY_SOCKET'][1:])\n"
              "for i in range(5000): s.send(f'STATUS={i}'.encode())\ns.send(b'READY=1')\nprint('said', flush=True)\ninput()\n")
    command = run("/usr/bin/python3", "-c", script, env=outer.env, stdin=-1)
    assert command.line() == "said"
    heard = []
    await_true("READY=1 comes through", lambda: heard.extend(outer.hear()) or "READY=1" in heard)
    assert command.result(b"\n")[0] == 0


def test_a_supervisor_that_is_not_there_is_told_and_does_no_harm(pods, tmp_path):
    pod = pods(workers(one=[TREE]), wrap=("env", f"NOTIFY_SOCKET={tmp_path}/nobody"))
    pod.log(msg=f"^NOTIFY_SOCKET={tmp_path}/nobody cannot be reached: No such file or directory$", level="warn")
    pod.ready("one")
    assert pod.stop() == 0


def test_a_watchdog_of_the_outer_supervisor_is_the_single_command_s(outer, run):
    command = run("sh", "-c", "echo $WATCHDOG_USEC; systemd-notify WATCHDOG=1", env={**outer.env, "WATCHDOG_USEC": "30000000"})
    assert command.result()[:2] == (0, b"30000000\n")
    assert outer.hear() == ["WATCHDOG=1"]
