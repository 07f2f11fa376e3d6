"""A life of podvisor in which one call of one function fails: the first, the second, and so on, until the life has no such
call any more. After each: no crash, no exit that is lost, no descriptor that leaks, nothing left behind, and a word about it.

tests/fixtures/preload/faults.c makes the calls fail. Where a function is called often, a sample of its calls is taken;
FAULTS_ALL=1 (make faults) takes every one."""
import errno
import http.client
import http.server
import os
import signal
import subprocess
import threading
import time

import pytest

from podvisor import exchange, free_port, not_under_valgrind
from supervised import DEADLINE_S, FIXTURES, TREE, await_true, built, pods, root_only, workers

pytestmark = built
ALL = os.environ.get("FAULTS_ALL") == "1"
preloads = not_under_valgrind("its launcher takes what is preloaded for itself; AddressSanitizer watches over these")

# What fails, how, whose calls, and whether its sentence has to be told even where podvisor goes on. "any": those of the
# libraries too. libuv aborts, and libwebsockets crashes, when what they begin with cannot be had; podvisor tries it out
# just before, so that what ends it is a sentence, and it is its own calls of these functions that fail here.
FUNCTIONS = {
    "posix_spawn": (errno.EAGAIN, "any", True),
    "pthread_create": (errno.EAGAIN, "program", True),
    "pipe2": (errno.EMFILE, "program", True),
    "socketpair": (errno.EMFILE, "program", True),
    "socket": (errno.EMFILE, "any", False),
    "setsockopt": (errno.ENOBUFS, "any", False),
    "bind": (errno.EACCES, "any", True),
    "listen": (errno.EACCES, "any", True),
    "connect": (errno.ENETUNREACH, "any", False),
    "accept4": (errno.EMFILE, "any", False),
    "epoll_create1": (errno.EMFILE, "any", False),
    "epoll_ctl": (errno.ENOMEM, "program", False),
    "epoll_wait": (errno.EINTR, "any", False),
    "eventfd": (errno.EMFILE, "program", True),
    "inotify_init1": (errno.EMFILE, "program", True),
    "inotify_add_watch": (errno.ENOSPC, "program", True),
    "open": (errno.EMFILE, "program", False),
    "read": (errno.EIO, "program", False),
    "write": (errno.EIO, "program", False),
    "send": (errno.ENOBUFS, "any", False),
    "recv": (errno.ENOMEM, "any", False),
    "recvmsg": (errno.ENOMEM, "any", False),
    "wait4": (errno.EINTR, "any", False),
    "getrandom": (errno.EINTR, "any", False),
    "malloc": (errno.ENOMEM, "program", False),
}


@pytest.fixture(scope="module")
def backend():
    """Answers 200 to everything."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


SLOW = {"interval": "1h", "timeout": "5s"}
AGAIN = {"stop": {"timeout": "1s"}, "restart": {"backoff": {"initial": "1ms", "max": "10ms"}, "limit": {"count": 64}}, "critical": True}


def configuration(backend, control, gateway, generation=1):
    return {
        "control": {"listen": f"127.0.0.1:{control}"},
        **workers(
            execed={"command": [TREE, "session"], "readiness": {"exec": ["true"], **SLOW}, **AGAIN},
            asked={"command": [TREE], "readiness": {"http": f"http://127.0.0.1:{backend}/", **SLOW}, **AGAIN},
            reached={"command": [TREE], "readiness": {"tcp": f"127.0.0.1:{backend}", **SLOW}, **AGAIN},
            seen={"command": [TREE], "readiness": {"file": "/dev/null", **SLOW}, "env": {"GENERATION": str(generation)}, **AGAIN},
            said={"command": ["sh", "-c", "while :; do systemd-notify --no-block --ready || :; sleep 0.1; done"],
                  "readiness": {"notify": True}, **AGAIN}),
        "gateway": {"listen": f"127.0.0.1:{gateway}", "routes": [{"path": "/", "worker": "asked", "to": f"127.0.0.1:{backend}"}],
                    "drain": {"lame_duck": "10ms"}},
    }


class Ended(Exception):
    """podvisor has ended before its time."""


def fault(function, n, count=1):
    """The environment in which the nth call of it fails, and so do those after it, count in all."""
    error, whose, _ = FUNCTIONS[function]
    # AddressSanitizer wants to be the first to be asked. But then its own calls would be those that fail, and not podvisor's.
    options = {"ASAN_OPTIONS": os.environ["ASAN_OPTIONS"] + ":verify_asan_link_order=0"} if "ASAN_OPTIONS" in os.environ else {}
    return {**options, "LD_PRELOAD": str(FIXTURES / "faults.so"), "FAULTS": f"{function}:{n}:{error}:{whose}:{count}", "FAULTS_TOLD": "own-told"}


class Life:
    def __init__(self, pods, backend, function, n):
        self.backend, self.control, self.gateway = backend, free_port(), free_port()
        self.pod = pods(self.configuration(1), env=fault(function, n))
        self.told = self.pod.path / "own-told"
        self.fds = None

    def configuration(self, generation):
        return configuration(self.backend, self.control, self.gateway, generation)

    def until(self, what, condition):
        def or_ended():
            if self.pod.process.poll() is not None:
                raise Ended
            try:
                return condition()
            except (OSError, http.client.HTTPException, ValueError):
                return None
        return await_true(what, or_ended)

    def ask(self, port, target):
        return exchange(http.client.HTTPConnection("127.0.0.1", port, timeout=2), "GET", target)

    def ready(self):
        self.until("every worker is ready", lambda: self.ask(self.control, "/readyz").status == 200)

    def worker(self, name):
        return self.until(f"what the API says of {name}",
                          lambda: self.ask(self.control, f"/api/v1/workers/{name}").json()["workers"][0])

    def another_run(self, name, cause):
        """Causes it until there is one: what fails may be the asking."""
        old = self.worker(name)
        end = time.monotonic() + DEADLINE_S
        while True:
            try:
                cause(old)
            except (OSError, http.client.HTTPException):
                pass
            once_more = time.monotonic() + 1
            while time.monotonic() < once_more:
                now = self.worker(name)
                if now["run"] != old["run"] and now["state"] == "ready":
                    return
                time.sleep(0.005)
            assert time.monotonic() < end, f"{name} has no other run: {now}"

    def post_restart(self, old):
        self.pod.ask("POST", f"/api/v1/workers/{old['name']}/restart")

    def live(self, limit):
        self.ready()
        self.until("the gateway", lambda: self.ask(self.gateway, "/").status == 200)
        self.another_run("execed", self.post_restart)
        self.another_run("reached", lambda old: os.kill(old["pid"], signal.SIGKILL))
        self.another_run("seen", lambda old: self.pod.reload(self.configuration(2)))
        self.ready()
        self.until("the gateway", lambda: self.ask(self.gateway, "/").status == 200)
        self.count_fds(limit)
        self.pod.kill()

    def count_fds(self, limit):
        """Of a quiet podvisor; no more than limit."""
        if limit is None:  # the fewest that are seen while what was asked last comes to its end
            limit = min([open_files(self.pod) for _ in range(20) if not self.pod.settle()], key=len)
        self.until(f"no descriptors but {limit}", lambda: len(open_files(self.pod)) <= len(limit))
        self.fds = limit

    def text(self):
        self.pod.errors.seek(0)
        return b"".join(self.pod.raw).decode(errors="replace") + self.pod.errors.read().decode(errors="replace")

    def told_lines(self):
        return self.told.read_text().splitlines() if self.told.exists() else []


def open_files(pod):
    return sorted(os.readlink(f"/proc/{pod.pid}/fd/{fd}").partition(":")[0] for fd in os.listdir(f"/proc/{pod.pid}/fd"))


def judge(life, function, limit):
    """What is wrong with a life that was led; limit: descriptors of one in which nothing failed."""
    failure, _, named = FUNCTIONS[function]
    problems = []
    early = False
    try:
        life.live(limit)
    except Ended:
        early = True
    except AssertionError as e:
        problems.append(f"it does not recover: {e}")
        life.pod.process.kill()
    code = life.pod.process.wait(DEADLINE_S)
    life.pod.reader.join(DEADLINE_S)
    text = life.text()
    fired = any(line.startswith("failed") for line in life.told_lines())
    if problems:
        pass
    elif code < 0:
        problems.append(f"killed by signal {-code}")
    elif code not in ((70, 78) if early else (0,)):
        problems.append(f"it ended {'early ' if early else ''}with code {code}")
    sentences = ("out of memory", os.strerror(failure)) if failure == errno.ENOMEM else (os.strerror(failure),)
    if (early or named) and fired and not any(sentence in text for sentence in sentences):
        problems.append("nobody says why")
    if not early and life.pod.marked():
        problems.append("something is left behind")
    await_true("the end of all", lambda: not life.pod.marked())  # when podvisor has ended, the shims do it
    life.pod.clean_up()
    return [*problems, text[-3000:]] if problems else []


def sample(calls):
    """The first ones, then ever fewer."""
    n, chosen = 1, []
    while n <= calls:
        chosen.append(n)
        n = n + 1 if ALL else max(n + 1, n * 5 // 4)
    return chosen


@preloads
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_life_goes_on_or_ends_with_a_reason_whatever_call_fails(pods, backend, function):
    sound = Life(pods, backend, function, 0)
    assert judge(sound, function, None) == []
    calls = int(next(line.split()[2] for line in sound.told_lines() if line.startswith("called")))
    assert calls, f"this life has no call of {function}"
    found = {}
    for n in sample(calls):
        problems = judge(Life(pods, backend, function, n), function, sound.fds)
        if problems:
            found[n] = problems
    for n, problems in found.items():
        print(f"=== {function} {n} of {calls}", *problems, sep="\n")
    assert list(found) == []


# ---- a worker that cannot be started for want of something ----

@preloads
@pytest.mark.parametrize("function, nth", [("posix_spawn", 1), ("socketpair", 1), ("pipe2", 2)])  # the first pipe is a trial
def test_a_start_that_fails_is_told_in_status_and_log_and_comes_again(pods, function, nth):
    why = os.strerror(FUNCTIONS[function][0])
    pod = pods(workers(one={"command": [TREE], "restart": {"backoff": {"initial": "1h", "max": "1h"}}}),
               env=fault(function, nth, 2))  # the first time it is tried again at once
    assert why in pod.log("one", "^could not start: ").msg
    pod.log("one", "^backoff: could not start.*; starting again in [1-9]")
    told = pod.worker("one")
    assert told["state"] == "backoff" and why in told["reason"]
    seen = len(pod.lines) - 1
    pod.ask("POST", "/api/v1/workers/one/start")
    pod.ready("one", after=seen)
    assert pod.stop() == 0
    assert pod.marked() == []


@root_only
def test_a_shim_that_cannot_create_its_process_says_so_and_the_worker_comes_later(pods):
    """The limit counts every thread and process of the user: podvisor and its pool, two of the first worker, one shim."""
    user = str(20000 + os.getpid())
    become = ("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--inh-caps=-all")
    pod = pods(workers(first=[TREE], second={"command": [TREE], "depends_on": ["first"],
                                             "restart": {"backoff": {"initial": "50ms", "max": "50ms"}, "limit": {"count": 64}}}),
               wrap=(*become, "prlimit", "--nproc=8:1000"), env={"UV_THREADPOOL_SIZE": "4"}, open_to_all=True)
    pod.ready("first")
    said = pod.log("second", "^could not start: cannot create a process: " + os.strerror(errno.EAGAIN))
    pod.log("second", "^backoff: could not start", said)
    subprocess.run([*become, "prlimit", "--pid", str(pod.pid), "--nproc=1000:1000"], check=True)
    pod.ready("second")
    assert pod.state("first") == "ready" and len(pod.find("first", "^starting")) == 1
    assert pod.stop() == 0
    pod.assert_nothing_left()
