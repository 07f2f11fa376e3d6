"""The real podvisor, driven from outside, for end-to-end tests.

    def test_a_worker_that_ends_comes_back(podvisor):           # the fixture of conftest.py
        pod = podvisor({"workers": {"api": {"command": ["/bin/sleep", "1"]}}})
        pod.wait_worker("api", state="ready")
        pod.wait_log(worker="api", msg="hello")                 # any JSON log line with these fields
        assert pod.cli("status").code == 0                      # a command, told where the socket is
        assert pod.get("/readyz").status == 200                 # over TCP; pod.ask("POST", ...) over the socket
        assert pod.stop() == 0                                  # SIGTERM, waits, asserts that nothing is left

`podvisor(config, *words, env={})` writes config to a directory of its own and starts `podvisor run -c FILE`;
control.socket, control.listen, and shutdown.termination_log are filled in unless config has them (None: left out).
What is still there at the end of the test is ended, and something left behind fails the test.

A Podvisor has: dir, config, config_file, socket, port (control), pid, log_file (stdout), errors_file (stderr).
Waiting always has a deadline, in seconds, stretched by PODVISOR_SLOWER (sanitizers, valgrind); what it waited for, the
last state and the end of the log are in the failure. Processes are found by a mark in their environment
(PODVISOR_TEST_MARK), which workers inherit; one that clears its environment is not found.
"""
import http.client
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import time
import uuid

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("PODVISOR", str(ROOT / "build" / "podvisor"))
SLOWER = float(os.environ.get("PODVISOR_SLOWER", "1"))
UNDER_VALGRIND = os.environ.get("PODVISOR_WATCH") == "valgrind"
PAUSE_S = 0.02  # another process's state can only be asked for again


def not_under_valgrind(why):
    """A mark for what is left out there, with the reason: valgrind itself is in the way, or what it would tell is not about podvisor."""
    return pytest.mark.skipif(UNDER_VALGRIND, reason=f"left out under valgrind: {why}")


_given_ports = set()


def free_port():
    """A TCP port of 127.0.0.1 that nobody has, and that this run gives out only once."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        if port not in _given_ports:
            _given_ports.add(port)
            return port


def wait_until(what, condition, seconds=30, told=lambda: ""):
    """The condition's first true value; OSError (nobody answers yet) counts as false."""
    end = time.monotonic() + seconds * SLOWER
    while True:
        try:
            value = condition()
        except (OSError, http.client.HTTPException):
            value = None
        if value:
            return value
        assert time.monotonic() < end, f"not within {seconds * SLOWER:g} s: {what}\n{told()}"
        time.sleep(PAUSE_S)


def marked(mark):
    """Pids of the processes with that mark in their environment, in no order."""
    needle, found = f"PODVISOR_TEST_MARK={mark}".encode(), []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/environ", "rb") as environ:
                if needle in environ.read().split(b"\0"):
                    found.append(int(entry))
        except OSError:
            pass  # ended, or of somebody else
    return found


def describe(pid):
    try:
        return f"{pid} {pathlib.Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode(errors='replace')}"
    except OSError:
        return f"{pid} (ended)"


class Answer:
    """status, headers (lower case names), text; json() reads text."""

    def __init__(self, status, headers, text):
        self.status, self.headers, self.text = status, headers, text

    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"<{self.status} {self.text[:200]!r}>"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self.path))


def exchange(connection, method, target, headers=None, body=None):
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, text)
    finally:
        connection.close()


class Ended:
    """code (negative: the signal), out, err of a command that has ended."""

    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"<exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}>"


def cli(*words, socket_path=None, env=None, seconds=30, stdin=subprocess.DEVNULL):
    """Runs `podvisor WORDS...` to its end. socket_path goes into PODVISOR_SOCKET."""
    full = {**os.environ, **(env or {})}
    full.pop("PODVISOR_SOCKET", None)
    if socket_path:
        full["PODVISOR_SOCKET"] = str(socket_path)
    done = subprocess.run([PROGRAM, *map(str, words)], env=full, stdin=stdin, capture_output=True,
                          timeout=seconds * SLOWER)
    return Ended(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


class Podvisor:
    def __init__(self, directory, config, *words, env=None, wrapper=()):
        self.dir = pathlib.Path(directory)
        self.mark = uuid.uuid4().hex
        self.log_file, self.errors_file = self.dir / "stdout", self.dir / "stderr"
        self.config_file = self.dir / "podvisor.json"
        self.config = json.loads(json.dumps(config))
        self._fill_in()
        self.write_config(self.config)
        argv = [*wrapper, PROGRAM, "run", *(words or ("-c", str(self.config_file)))]
        full = {**os.environ, "PODVISOR_TEST_MARK": self.mark, **(env or {})}
        full.pop("PODVISOR_SOCKET", None)
        with open(self.log_file, "wb") as out, open(self.errors_file, "wb") as err:
            self.process = subprocess.Popen(argv, env=full, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                            cwd=self.dir, start_new_session=True)
        self.pid = self.process.pid

    def _fill_in(self):
        control = self.config.setdefault("control", {})
        control.setdefault("socket", str(self.dir / "control.sock"))
        control.setdefault("listen", f"127.0.0.1:{free_port()}")
        shutdown = self.config.setdefault("shutdown", {})
        shutdown.setdefault("termination_log", str(self.dir / "termination-log"))
        for section in control, shutdown:
            for key in [key for key, value in section.items() if value is None]:
                del section[key]
        self.socket = control.get("socket")
        self.port = int(control["listen"].rpartition(":")[2]) if "listen" in control else None

    def write_config(self, config):
        """Replaces the file, as for a reload; a str is written as it is."""
        self.config_file.write_text(config if isinstance(config, str) else json.dumps(config, indent=2))

    # What it says

    def log(self, **fields):
        """The lines of its log so far, as dicts, that have these fields. msg: a part of it, or a compiled pattern."""
        found = []
        for line in self.log_file.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                entry = {"msg": line}
            if isinstance(entry, dict) and all(self._fits(entry.get(k), v) for k, v in fields.items()):
                found.append(entry)
        return found

    @staticmethod
    def _fits(value, wanted):
        if isinstance(wanted, re.Pattern):
            return isinstance(value, str) and wanted.search(value) is not None
        if isinstance(wanted, str) and isinstance(value, str):
            return wanted in value
        return value == wanted

    def tail(self, lines=40):
        """The end of its log and of its stderr, for failures."""
        text = self.log_file.read_text(errors="replace").splitlines()[-lines:]
        errors = self.errors_file.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(["--- log", *text, "--- stderr", *errors])

    def ask(self, method, target, headers=None, seconds=30, body=None):
        """Over the Unix socket."""
        return exchange(UnixConnection(self.socket, seconds * SLOWER), method, target, headers, body)

    def get(self, target, method="GET", headers=None, seconds=30, body=None):
        """Over TCP."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds * SLOWER)
        return exchange(connection, method, target, headers, body)

    def status(self):
        return self.ask("GET", "/api/v1/status").json()

    def worker(self, name):
        """What the API says about one worker (or instance), or None."""
        return next((w for w in self.status()["workers"] if w["name"] == name), None)

    def events(self, after=0, **fields):
        found = self.ask("GET", f"/api/v1/events?after={after}").json()["events"]
        return [e for e in found if all(self._fits(e.get(k), v) for k, v in fields.items())]

    def cli(self, *words, seconds=30, env=None):
        """Runs a command against this supervisor, to its end."""
        return cli(*words, socket_path=self.socket, seconds=seconds, env=env)

    # Waiting

    def wait(self, what, condition, seconds=30):
        """As wait_until, and fails at once when podvisor has ended."""
        def or_ended():
            value = condition()
            assert value or self.process.poll() is None, f"podvisor ended ({self.process.returncode}) before {what}\n{self.tail()}"
            return value
        return wait_until(what, or_ended, seconds, self.tail)

    def wait_answer(self, seconds=30):
        """Until it answers at its socket."""
        return self.wait("an answer at the socket", lambda: self.ask("GET", "/livez"), seconds)

    def wait_ready(self, seconds=30):
        """Until /readyz is 200."""
        return self.wait("/readyz 200", lambda: self.ask("GET", "/readyz").status == 200, seconds)

    def wait_worker(self, name, seconds=30, unless=lambda worker: False, **fields):
        """Until the worker has these fields (state="ready", restarts=2, run=...); returns what the API says then."""
        last = None

        def condition():
            nonlocal last
            last = self.worker(name)
            return last if last and all(last.get(k) == v for k, v in fields.items()) and not unless(last) else None
        try:
            return self.wait(f"worker {name} with {fields}", condition, seconds)
        except AssertionError as e:
            raise AssertionError(f"{e}\nlast seen: {json.dumps(last)}") from None

    def wait_log(self, seconds=30, **fields):
        """Until a line of its log has these fields; returns the first."""
        return self.wait(f"a log line with {fields}", lambda: self.log(**fields), seconds)[0]

    # Its end

    def send(self, number):
        self.process.send_signal(number)

    def wait_end(self, seconds=60):
        """Its exit code; negative: the signal that killed it."""
        try:
            return self.process.wait(seconds * SLOWER)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"podvisor has not ended within {seconds * SLOWER:g} s\n{self.tail()}") from None

    def stop(self, seconds=60, number=signal.SIGTERM):
        """Signals it, waits for its end, asserts that nothing is left; returns the exit code."""
        if self.process.poll() is None:
            self.send(number)
        code = self.wait_end(seconds)
        self.assert_nothing_left()
        return code

    def processes(self):
        """Pids of everything that it started and that still runs."""
        return [pid for pid in marked(self.mark) if pid != self.pid]

    def assert_nothing_left(self, seconds=1, after_kill=False):
        """No process, mount or socket; after_kill: a socket file cannot be avoided."""
        wait_until("nothing of it runs", lambda: not self.processes(), seconds,
                   lambda: "\n".join(map(describe, self.processes())) + "\n" + self.tail())
        mounts = [line for line in open("/proc/self/mounts") if str(self.dir) in line]
        assert not mounts, f"mounts are left: {mounts}"
        assert after_kill or not self.socket or not os.path.exists(self.socket), "the socket is left"

    def kill_all(self):
        """Ends podvisor and all that is marked, whatever it takes; returns what of it podvisor itself had left."""
        left = []
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        end = time.monotonic() + 1 * SLOWER
        while self.processes() and time.monotonic() < end:
            time.sleep(PAUSE_S)
        for pid in self.processes():
            left.append(describe(pid))
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return left
