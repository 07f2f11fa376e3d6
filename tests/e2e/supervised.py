"""A podvisor under test: started with a configuration of its own, followed through its log, stopped, and looked after
for what it might leave behind."""
import fcntl
import json
import os
import pathlib
import random
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid

import pytest

from podvisor import UNDER_VALGRIND, UnixConnection, exchange

ROOT = pathlib.Path(__file__).resolve().parents[2]
PODVISOR = os.environ.get("PODVISOR", str(ROOT / "build" / "podvisor"))
FIXTURES = pathlib.Path(os.environ.get("PODVISOR_FIXTURES", pathlib.Path(PODVISOR).parent / "fixtures"))
SLOWER = int(os.environ.get("PODVISOR_SLOWER", "1"))  # sanitizers and valgrind are
DEADLINE_S = 30 * SLOWER
TREE = str(FIXTURES / "tree")
GATE = str(FIXTURES / "gate")
TELL = str(FIXTURES / "tell")
MARK = "PODVISOR_TEST"

built = pytest.mark.skipif(not os.access(PODVISOR, os.X_OK), reason=f"{PODVISOR} is not built")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


UNSHARE = ("unshare", "-fp", "--mount-proc", "--kill-child")


def namespaces_missing():
    """Why podvisor cannot be made PID 1 here, or None."""
    if not shutil.which("unshare"):
        return "unshare is not installed"
    done = subprocess.run(["unshare", "-fp", "--mount-proc", "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return None if done.returncode == 0 else "no PID namespace here: " + done.stderr.strip()


def mounts_missing():
    """Why nothing can be mounted in a namespace of its own here, or None: / has to be a mount point, as it is not in a chroot."""
    if not shutil.which("unshare"):
        return "unshare is not installed"
    done = subprocess.run(["unshare", "-m", "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return None if done.returncode == 0 else "no mount namespace here: " + done.stderr.strip()


MOUNTS_MISSING = mounts_missing()
own_mounts = pytest.mark.skipif(MOUNTS_MISSING is not None, reason=str(MOUNTS_MISSING))


def await_true(what, condition, seconds=DEADLINE_S):
    """The condition's first true value; the kernel's tables can only be asked again."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.01)


def fields_of(pid):
    """State, parent and start time of a process; None when there is none."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    rest = text.rpartition(")")[2].split()
    return {"state": rest[0], "parent": int(rest[1]), "start": int(rest[19])}


def has_signal(pid, number, *fields):
    """Whether the process has it in one of these masks of /proc/PID/status (SigBlk, SigCgt, SigIgn)."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    masks = dict(re.findall(r"^(Sig\w+):\t([0-9a-f]+)$", status, re.M))
    return any(int(masks[field], 16) >> (number - 1) & 1 for field in fields)


def pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def identity(pid):
    """What tells a process from a later one of the same pid."""
    fields = fields_of(pid)
    return (pid, fields["start"]) if fields else None


def alive(identities):
    return [one for one in identities if one and identity(one[0]) == one]


def is_between_programs(pid):
    """Whether it is in the middle of execve(2), where the kernel tells nothing of its arguments and environment. Neither does it of a
    zombie and of its own threads, which have no program either."""
    if pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
        return False
    os.readlink(f"/proc/{pid}/exe")
    return (fields_of(pid) or {}).get("state") not in (None, "Z", "X")


def told_of(pid, name):
    """cmdline or environ, of the next program where it is between two; empty when it is gone or somebody else's."""
    def settled():
        try:
            text = pathlib.Path(f"/proc/{pid}/{name}").read_bytes()
            return (text,) if text or not is_between_programs(pid) and not pathlib.Path(f"/proc/{pid}/{name}").read_bytes() else None
        except OSError:
            return (b"",)
    return await_true(f"the program of {pid}", settled)[0]


def environ_of(pid):
    return told_of(pid, "environ").split(b"\0")


def arguments_of(pid):
    """Of its command line; none when it is gone."""
    return told_of(pid, "cmdline").decode(errors="replace").split("\0")[:-1]


def name_of(pid):
    """The name of its program, cut by the kernel to 15 bytes; empty when it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def children_of(pid):
    try:
        return [int(word) for word in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def child_of(process):
    """Of a wrapper that forks; its own pid when it has ended already."""
    return await_true("the child of the wrapper",
                      lambda: children_of(process.pid) or (process.poll() is not None and [process.pid]))[0]


def descendants_of(pid):
    found = []
    for child in children_of(pid):
        found += [child, *descendants_of(child)]
    return found


def zombies_of(pid):
    return [child for child in children_of(pid) if (fields_of(child) or {}).get("state") == "Z"]


def marked_with(mark):
    mark = f"{MARK}={mark}".encode()
    return [pid for pid in pids() if mark in environ_of(pid)]


class Line(dict):
    """One line of the log: a JSON object, and where it stands."""

    def __init__(self, fields, index, text):
        super().__init__(fields)
        self.index, self.text = index, text

    @property
    def msg(self):
        return self.get("msg", "")


class Pod:
    """config None: COMMAND of `run -- COMMAND` stands in argv."""

    def __init__(self, path, config=None, *, wrap=(), env=None, follow=True, own_control=True, options=None):
        self.path = pathlib.Path(path)
        self.mark = uuid.uuid4().hex
        self.file = self.path / "podvisor.json"
        self.termination = self.path / "termination"
        self.lines, self.raw = [], []
        self.changed = threading.Condition()
        self.ended = False
        self.own_control = own_control
        self.env = {**os.environ, "TMPDIR": str(self.path), MARK: self.mark, **(env or {})}
        self.env.pop("NOTIFY_SOCKET", None)
        self.termination.touch()
        self.configure(config)
        self.errors = open(self.path / "stderr", "w+b")
        self.process = subprocess.Popen([*wrap, PODVISOR, "run", "-c", str(self.file)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=self.errors, env=self.env, cwd=self.path,
                                        **(options or {}))
        self.reader = None
        if follow:
            self.follow()

    # ---- its configuration ----

    def configure(self, config):
        """Writes the configuration; a text is written as it is."""
        if isinstance(config, dict):
            full = dict(config)
            if self.own_control:
                full["control"] = {"listen": "none", "socket": str(self.path / "control.sock"), **config.get("control", {})}
            full["shutdown"] = {"termination_log": str(self.termination), **config.get("shutdown", {})}
            config = json.dumps(full, indent=1)
        self.file.write_text(config or "")

    def reload(self, config):
        self.configure(config)
        os.kill(self.pid, signal.SIGHUP)

    # ---- its log ----

    def follow(self):
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for raw in self.process.stdout:
            try:
                fields = json.loads(raw)
            except ValueError:
                fields = None
            with self.changed:
                self.raw.append(raw)
                self.lines.append(Line(fields if isinstance(fields, dict) else {}, len(self.lines), raw))
                self.changed.notify_all()
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def find(self, worker=None, msg=None, after=-1, until=None, own=True, **fields):
        """The lines so far that fit. own: podvisor's, not a worker's output."""
        pattern = re.compile(msg) if msg is not None else None
        return [line for line in self.lines[after + 1:until]
                if (worker is None or line.get("worker") == worker) and (not own or "stream" not in line)
                and (pattern is None or pattern.search(line.msg)) and all(line.get(k) == v for k, v in fields.items())]

    def log(self, worker=None, msg=None, after=-1, count=1, seconds=DEADLINE_S, **rest):
        """The count-th line that fits, awaited."""
        after = after.index if isinstance(after, Line) else after
        end = time.monotonic() + seconds
        found = []
        with self.changed:
            while True:
                found += self.find(worker, msg, after, **rest)
                after = max(after, len(self.lines) - 1)
                if len(found) >= count:
                    return found[count - 1]
                left = end - time.monotonic()
                if self.ended or left <= 0:
                    why = "podvisor ended" if self.ended else f"not within {seconds} s"
                    pytest.fail(f"no line {worker or ''} /{msg or ''}/ {rest or ''} ({len(found)} of {count}): {why}\n{self.tail()}")
                self.changed.wait(left)

    def tail(self, n=60):
        text = b"".join(self.raw[-n:]).decode(errors="replace")
        self.errors.seek(0)
        return f"--- log ({len(self.raw)} lines)\n{text}--- stderr\n{self.errors.read().decode(errors='replace')}"

    def ready(self, worker, after=-1):
        """Awaits that it is ready, and returns its pid."""
        return int(re.search(r"pid (\d+)", self.log(worker, r"^ready: pid", after).msg)[1])

    def messages(self, worker=None, **rest):
        return [line.msg for line in self.find(worker, **rest)]

    def output(self, worker, stream="stdout"):
        return [line.msg for line in self.find(worker, own=False, stream=stream)]

    def settle(self):
        """Returns when podvisor has taken all that happened before: two turns of its loop have passed since."""
        for _ in range(2):
            seen = len(self.lines) - 1
            os.kill(self.pid, signal.SIGQUIT)
            self.log(msg=r"^state: drain", after=seen)

    def state(self, worker):
        seen = len(self.lines) - 1
        os.kill(self.pid, signal.SIGQUIT)
        return re.match(r"state: (\w+)", self.log(worker, r"^state: ", after=seen).msg)[1]

    def worker(self, name):
        """What the API says of a worker."""
        self.await_control()
        return self.ask("GET", f"/api/v1/workers/{name}").json()["workers"][0]

    def await_control(self):
        """It exists a moment before it takes connections."""
        def takes_connections():
            with socket.socket(socket.AF_UNIX) as one:
                return one.connect_ex(str(self.path / "control.sock")) == 0
        await_true("the control socket", takes_connections)

    def ask(self, method, target):
        return exchange(UnixConnection(self.path / "control.sock", DEADLINE_S), method, target)

    # ---- its processes ----

    @property
    def pid(self):
        """podvisor's own, also where something stands in front of it."""
        return self._pid if hasattr(self, "_pid") else self.process.pid

    def find_inside(self):
        """podvisor is the child of what was started (unshare forks); it may have ended already."""
        self._pid = child_of(self.process)

    def marked(self):
        """Everything that was started by this podvisor and carries its environment, itself not counted."""
        return [pid for pid in marked_with(self.mark) if pid not in (self.pid, self.process.pid)]

    def tree_of(self, worker):
        """Shim and processes of a worker, as identities."""
        wanted = f"PODVISOR_WORKER={worker}".encode()
        return [identity(pid) for pid in self.marked() if wanted in environ_of(pid)]

    def shim_of(self, pid):
        return fields_of(pid)["parent"]

    # ---- its end ----

    def kill(self, number=signal.SIGTERM):
        os.kill(self.pid, number)

    def wait(self, seconds=DEADLINE_S):
        """Its exit code; 128+signal as a shell would say it."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"podvisor did not end within {seconds} s\n{self.tail()}")
        if self.reader:
            self.reader.join(DEADLINE_S)
        return code if code >= 0 else 128 - code

    def stop(self):
        self.kill()
        return self.wait()

    def assert_nothing_left(self):
        """Called after its end: not a process, not a socket, not a file that was not there before."""
        assert self.marked() == [], self.tail()
        known = {"podvisor.json", "termination", "stderr"}
        left = sorted(p.name for p in self.path.iterdir() if p.name not in known and not p.name.startswith("own"))
        assert left == [], left
        mounts = pathlib.Path("/proc/self/mounts").read_text()
        assert str(self.path) not in mounts
        for table in ("/proc/net/unix",):
            assert str(self.path) not in pathlib.Path(table).read_text()

    def clean_up(self):
        """Whatever a failed test left: by pid, only what carries the mark."""
        if self.process.poll() is None:
            for pid in {self.pid, self.process.pid}:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        self.process.wait(DEADLINE_S)
        for pid in self.marked():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        if self.reader:
            self.reader.join(DEADLINE_S)
        self.process.stdout.close()
        self.errors.close()


@pytest.fixture
def pods():
    """Starts podvisors, each in a directory of its own that goes with the test."""
    started, places = [], []

    def start(config, **options):
        place = tempfile.mkdtemp(prefix="podvisor-e2e.")
        places.append(place)
        if options.pop("open_to_all", False):
            os.chmod(place, 0o777)
        started.append(Pod(place, config, **options))
        return started[-1]

    yield start
    for pod in started:
        pod.clean_up()
    for place in places:
        shutil.rmtree(place, ignore_errors=True)


class Command:
    """podvisor run -- COMMAND. wrap: what stands in front of podvisor; forks: and starts it as a child (unshare)."""

    def __init__(self, *argv, stdin=subprocess.DEVNULL, env=None, wrap=(), forks=False, **options):
        self.mark = uuid.uuid4().hex
        self.process = subprocess.Popen([*wrap, PODVISOR, "run", "--", *argv], stdin=stdin, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env={**os.environ, MARK: self.mark, **(env or {})}, bufsize=0,
                                        **options)
        self.pid = child_of(self.process) if forks else self.process.pid

    def line(self):
        """The next line of its output; "" at its end."""
        ready, _, _ = select.select([self.process.stdout], [], [], DEADLINE_S)
        assert ready, f"no line within {DEADLINE_S} s"
        return self.process.stdout.readline().decode(errors="replace").rstrip("\n")

    def kill(self, number=signal.SIGTERM):
        os.kill(self.pid, number)

    def result(self, data=None):
        """Exit code (negative: podvisor itself was killed), stdout, stderr."""
        out, err = self.process.communicate(data, timeout=DEADLINE_S)
        return self.process.returncode, out, err

    def left(self):
        return [pid for pid in marked_with(self.mark) if pid not in (self.process.pid, self.pid)]

    def clean_up(self):
        if self.process.poll() is None:
            for pid in {self.pid, self.process.pid}:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()
        for pid in self.left():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                stream.close()


def commands():
    """The body of a fixture that starts commands and looks after them."""
    started = []

    def start(*argv, **options):
        started.append(Command(*argv, **options))
        return started[-1]

    yield start
    for command in started:
        command.clean_up()


@pytest.fixture
def run():
    yield from commands()


WHY_NOT = namespaces_missing()
AS_INIT = pytest.param(True, id="as PID 1", marks=pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT)))


@pytest.fixture(params=[pytest.param(False, id="as a process"), AS_INIT])
def run_both(request):
    """As run, once in an ordinary process and once as PID 1 of a namespace."""
    def start(*argv, wrap=(), **options):
        return starting(*argv, wrap=(*(UNSHARE if request.param else ()), *wrap), forks=request.param, **options)
    started = commands()
    starting = next(started)
    yield start
    yield from started


# Says what signals it gets, one number a line; ends by SIGKILL only.
TELLS_SIGNALS = ("/usr/bin/python3", "-c", """
import signal
every = set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP, 32, 33}
signal.pthread_sigmask(signal.SIG_BLOCK, every)
print("ready", flush=True)
while True:
    print(int(signal.sigwait(every)), flush=True)
""")


def workers(**named):
    """A configuration of workers alone; a list is a command."""
    return {"workers": {name: {"command": what} if isinstance(what, list) else what for name, what in named.items()}}


class Gate:
    """Holds back what runs the gate fixture until it is opened."""

    def __init__(self):
        self.file = tempfile.NamedTemporaryFile(prefix="podvisor-e2e.")
        self.path = self.file.name
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def open(self):
        fcntl.flock(self.file, fcntl.LOCK_UN)


@pytest.fixture
def gate():
    one = Gate()
    yield one
    one.file.close()


def assert_early_stops_are_obeyed(start):
    chance = random.Random(os.environ.get("SEED", "9"))
    for i in range(25):
        pod = start(workers(one=[TREE, "session"]))
        # unshare blocks SIGTERM too, but not SIGHUP
        await_true("main of podvisor", lambda: has_signal(pod.pid, signal.SIGHUP, "SigBlk", "SigCgt"))
        if i:  # the first at once
            time.sleep(chance.uniform(0, 0.05))  # any moment will do: none may be missed
        pod.kill()
        assert pod.wait() == 0
        pod.assert_nothing_left()


# ---- many at once ----

MANY = 300 if UNDER_VALGRIND else 2000  # each start takes many times as long there


def raise_limits():
    """Room for many: descriptors are counted per process."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def assert_each_exit_is_told(pod, many):
    ends = {line["worker"]: line.msg for line in pod.find(msg=r"^(succeeded|failed|stopped): ")}
    wanted = {f"many.{i}": i % 3 for i in range(many)}
    wrong = {name: ends.get(name) for name, code in wanted.items() if f"exited with code {code}" not in ends.get(name, "")}
    assert wrong == {}, f"{len(wrong)} of {many} exits are lost or wrong"
    assert len(pod.find(msg=r"^(succeeded|failed|stopped): exited")) == many


def end_many_at_once(start, gate):
    """A podvisor with MANY workers whose ends have all been told, and with the worker one."""
    many = {"command": [GATE, gate.path], "instances": MANY, "restart": {"policy": "never"}}
    pod = start(workers(many=many, one=[TREE]), options={"preexec_fn": raise_limits})
    pod.log(msg="^ready: pid", count=MANY + 1, seconds=4 * DEADLINE_S)
    gate.open()
    pod.log(msg=r"^(succeeded|failed|stopped): exited", count=MANY, seconds=4 * DEADLINE_S)
    assert_each_exit_is_told(pod, MANY)
    return pod
