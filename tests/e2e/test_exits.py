"""No exit is lost: crash loops and hundreds of ends at once, while the machine has other things to do.

An exit that is lost leaves its worker as it was for ever: `running`, with a process that is none any more. It has happened:
the threads of libuv's pool took SIGCHLD from the descriptor that the reaper reads."""
import collections
import os
import re
import signal
import subprocess

import pytest

from supervised import (AS_INIT, DEADLINE_S, GATE, TREE, UNSHARE, arguments_of, await_true, built, children_of, gate, pods,
                        raise_limits, workers, zombies_of)

pytestmark = built

LOOPS, RESTARTS, AT_ONCE = 12, 25, 300
LONG_S = 8 * DEADLINE_S
# What the pool's threads have to do meanwhile: they run, and sleep, as SIGCHLD comes.
POOL = {"command": [TREE], "readiness": {"file": "/dev/null", "interval": "10ms"}}


@pytest.fixture
def load():
    """Processes that want every CPU, two for each."""
    spinning = [subprocess.Popen(["sh", "-c", "while :; do :; done"], stdin=subprocess.DEVNULL)
                for _ in range(2 * len(os.sched_getaffinity(0)))]
    yield
    for process in spinning:
        process.kill()
    for process in spinning:
        process.wait()


@pytest.fixture(params=[pytest.param(False, id="as a process"), AS_INIT])
def pod_of(request, pods):
    """Starts a podvisor, once as an ordinary process and once as PID 1 of a namespace."""
    def start(config):
        pod = pods(config, wrap=UNSHARE if request.param else (), options={"preexec_fn": raise_limits})
        if request.param:
            pod.find_inside()
        return pod
    return start


def crash_loop(code):
    backoff = {"initial": "1ms", "max": "20ms"}
    return {"command": ["sh", "-c", f"exit {code}"], "restart": {"backoff": backoff, "limit": {"count": RESTARTS}}}


def ends_of(pod):
    """How often each worker ended how, as podvisor tells it once for each run."""
    told = (re.match("stopping: (exited with code \\d+|killed by SIG\\w+)$", line.msg) and (line["worker"], line.msg[10:])
            for line in pod.find(msg="^stopping: (exited|killed)"))
    return collections.Counter(filter(None, told))


def ready_of(pod, prefix):
    """The workers with names like that that have been ready."""
    return {line["worker"] for line in pod.find(msg="^ready: pid") if line["worker"].startswith(prefix)}


def sleepers_of(pod):
    """The main processes that sleep, as the host sees them."""
    return [pid for shim in children_of(pod.pid) for pid in children_of(shim) if arguments_of(pid)[-1:] in (["1000"], [SLEEP])]


def await_all_sleep(pod, count):
    """Ready means that the shell runs; while it becomes the sleep, the kernel tells no arguments of it for a moment."""
    return await_true(f"{count} sleep", lambda: (found := sleepers_of(pod)) and len(found) == count and found, LONG_S)


def assert_all_are(pod, state, names):
    there = {worker["name"]: worker["state"] for worker in pod.ask("GET", "/api/v1/workers").json()["workers"]}
    assert {name: there[name] for name in names} == {name: state for name in names}


def test_every_exit_of_crash_loops_and_of_hundreds_at_once_is_told(pod_of, gate, load):
    loops = {f"loop{code}": crash_loop(code) for code in range(1, LOOPS + 1)}
    many = {"command": [GATE, gate.path], "instances": AT_ONCE, "restart": {"policy": "never"}}
    pod = pod_of(workers(many=many, calm=[TREE], pool=POOL, **loops))
    await_true("all wait at the gate", lambda: len(ready_of(pod, "many.")) == AT_ONCE, LONG_S)
    gate.open()
    pod.log(msg=r"^(failed|stopped): exited with code \d, and its restart policy", count=AT_ONCE, seconds=LONG_S)
    pod.log(msg="^failed: .* are its limit", count=LOOPS, seconds=LONG_S)
    wanted = {(name, f"exited with code {name[4:]}"): RESTARTS + 1 for name in loops}
    wanted |= {(f"many.{i}", f"exited with code {i % 3}"): 1 for i in range(AT_ONCE)}
    assert ends_of(pod) == wanted
    assert_all_are(pod, "failed", loops)
    assert_all_are(pod, "ready", ["calm", "pool"])
    assert_all_are(pod, "stopped", [f"many.{i}" for i in range(0, AT_ONCE, 3)])
    await_true("no zombie", lambda: not zombies_of(pod.pid))
    await_true("only the two shims are left", lambda: len(children_of(pod.pid)) == 2)
    assert pod.stop() == 0
    pod.assert_nothing_left()


SLEEP = "exec sleep 1000"


def test_workers_that_are_killed_again_and_again_all_come_back(pod_of, load):
    names = [f"many.{i}" for i in range(40)]
    restart = {"backoff": {"initial": "1ms", "max": "5ms"}, "limit": {"count": 64, "window": "1s"}}
    pod = pod_of(workers(many={"command": ["sh", "-c", SLEEP], "instances": len(names), "restart": restart}, pool=POOL))
    await_true("all are ready", lambda: ready_of(pod, "many.") == set(names), LONG_S)
    for _ in range(5):
        seen, killed = len(pod.lines) - 1, await_all_sleep(pod, len(names))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        pod.log(msg="^stopping: killed by SIGKILL", after=seen, count=len(names), seconds=LONG_S)
        pod.log(msg="^ready: pid", after=seen, count=len(names), seconds=LONG_S)
    assert ends_of(pod) == {(name, "killed by SIGKILL"): 5 for name in names}
    assert_all_are(pod, "ready", names)
    assert pod.stop() == 0
    pod.assert_nothing_left()
