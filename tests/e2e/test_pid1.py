"""podvisor as PID 1 of a PID namespace, as in a container."""
import os
import signal
import subprocess

import pytest

from podvisor import not_under_valgrind
from supervised import (DEADLINE_S, GATE, MANY, MARK, PODVISOR, TELL, TREE, UNSHARE, alive, assert_early_stops_are_obeyed, await_true,
                        built, children_of, end_many_at_once, fields_of, gate, has_signal, namespaces_missing, pids, pods, workers,
                        zombies_of)

WHY_NOT = namespaces_missing()
pytestmark = [built, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]


@pytest.fixture
def init(pods):
    """Starts a podvisor that is PID 1."""
    def start(config, wrap=(), **options):
        pod = pods(config, wrap=(*UNSHARE, *wrap), **options)
        pod.find_inside()
        return pod
    return start


def enter(pod, *argv):
    """Runs a command in its namespace, as kubectl exec does."""
    return subprocess.run(["nsenter", "-t", str(pod.pid), "-p", "-m", *argv], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=DEADLINE_S, env={**os.environ, MARK: pod.mark})


def all_inside(pod):
    """Every process of the namespace, as the host sees them."""
    def namespace(pid):
        try:
            return os.readlink(f"/proc/{pid}/ns/pid")
        except OSError:
            return None
    mine = namespace(pod.pid)
    return [pid for pid in pids() if pid != pod.pid and mine and namespace(pid) == mine]


def test_it_is_pid_1(init):
    pod = init(workers(one={"command": ["sh", "-c", "ps -o pid=,ppid=,args= -e"], "kind": "task"}, two=[TREE]))
    pod.log("one", "^succeeded")
    assert any(line.split()[:2] == ["1", "0"] and "podvisor" in line for line in pod.output("one"))
    pod.ready("two")
    assert pod.stop() == 0


@not_under_valgrind("the masks that /proc shows are its own")
def test_a_stop_signal_at_any_early_moment_is_obeyed(init):
    assert_early_stops_are_obeyed(init)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_is_obeyed_and_nothing_is_left(init, number):
    pod = init(workers(one=[TREE, "group", "session", "daemon", "stopped", "titled", "chain=3"],
                       deaf={"command": [TREE, "deaf"], "stop": {"timeout": "100ms"}}))
    pod.log("one", "^ready$", own=False), pod.log("deaf", "^ready$", own=False)
    pod.kill(number)
    assert pod.wait() == 0
    pod.assert_nothing_left()


@pytest.mark.parametrize("what", ["worker", "shim"])
def test_nothing_is_left_after_a_kill(init, what):
    pod = init(workers(family=[TREE, "group", "session", "daemon", "stopped", "chain=3"]))
    pod.ready("family")
    pod.log("family", "^ready$", own=False)
    old = pod.tree_of("family")
    assert len(old) >= 8
    shim = [child for child in children_of(pod.pid)][0]
    seen = len(pod.lines) - 1
    os.kill(shim if what == "shim" else children_of(shim)[0], signal.SIGKILL)
    pod.log("family", "^starting", seen)
    assert alive(old) == []
    pod.ready("family", after=seen)
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_orphans_of_what_was_executed_into_the_pod_are_reaped(init):
    pod = init(workers(one=[TREE]))
    pod.ready("one")
    assert enter(pod, TREE, f"orphans={MANY}", "exit=0").returncode == 0
    await_true("no zombie", lambda: not zombies_of(pod.pid) and len(all_inside(pod)) == 2)
    assert pod.state("one") == "ready"
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_two_thousand_workers_that_end_at_once_are_all_accounted_for(init, gate):
    pod = end_many_at_once(init, gate)
    await_true("no zombie", lambda: not zombies_of(pod.pid) and len(all_inside(pod)) == 2)
    assert pod.state("one") == "ready"
    assert pod.stop() == 0


def test_two_thousand_orphans_that_end_at_once_are_reaped(init, gate):
    pod = init(workers(one=[TREE], two={"command": [GATE, gate.path], "kind": "task"}), wrap=(GATE, gate.path, str(MANY)))
    pod.ready("one")
    pod.log("two", "^running: pid")
    assert len(all_inside(pod)) >= MANY
    gate.open()
    pod.log("two", "^succeeded")
    await_true("all are reaped", lambda: len(all_inside(pod)) == 2 and not zombies_of(pod.pid))
    assert pod.state("one") == "ready"
    assert pod.stop() == 0


def test_a_critical_worker_s_code_is_that_of_the_container(init):
    pod = init(workers(api={"command": ["sh", "-c", "exit 42"], "critical": True, "restart": {"policy": "never"}}, other=[TREE]))
    assert pod.wait() == 42
    assert b"worker api exited with code 42" in pod.termination.read_bytes()


@pytest.mark.parametrize("script, code", [("exit 7", 7), ("kill -9 $$", 137), ("exec /nonexistent/x", 127)])
def test_run_command_passes_the_code_on(script, code):
    done = subprocess.run([*UNSHARE, PODVISOR, "run", "--", "sh", "-c", script], stdin=subprocess.DEVNULL, capture_output=True,
                          timeout=DEADLINE_S)
    assert done.returncode == code


def test_a_signal_s_sender_that_is_init_itself_is_not_confused(init):
    """Signals from outside the namespace carry pid 0 as their sender."""
    pod = init(workers(one=[TREE]))
    first = pod.ready("one")
    for number in (signal.SIGPIPE, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGCHLD):
        os.kill(pod.pid, number)
    pod.settle()
    assert pod.find("one", "^ready: pid") and len(pod.find("one", "^starting")) == 1 and first
    assert fields_of(pod.pid)
    assert pod.stop() == 0


def test_a_message_from_outside_the_namespace_is_refused(init):
    pod = init(workers(api={"command": ["sh", "-c", 'echo "$NOTIFY_SOCKET"; exec sleep 1000'], "readiness": {"notify": True}}))
    address = pod.log("api", own=False, stream="stdout").msg
    assert subprocess.run([TELL, "READY=1"], env={"NOTIFY_SOCKET": address}, stdin=subprocess.DEVNULL).returncode == 0
    pod.settle()
    assert pod.state("api") == "running"
    assert pod.stop() == 0


@not_under_valgrind("the masks that /proc shows are its own")
def test_a_stop_signal_while_the_configuration_is_still_awaited_is_obeyed(pods):
    read, write = os.pipe()
    wrap = (*UNSHARE, "sh", "-c", f'exec "$0" run -c /dev/fd/{read}')  # the arguments that follow are left out
    pod = pods(None, wrap=wrap, options={"pass_fds": (read,)})
    try:
        pod.find_inside()
        await_true("main of podvisor", lambda: has_signal(pod.pid, signal.SIGHUP, "SigBlk"))
        pod.kill()
        assert pod.wait() == 128 + signal.SIGTERM
    finally:
        os.close(read), os.close(write)
