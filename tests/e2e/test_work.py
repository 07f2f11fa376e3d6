"""Whether a worker does its work: progress, watchdog, memory, groups, stop commands, another main process."""
import json
import os
import re
import signal
import socket
import subprocess

import pytest

from cluster import cluster
from supervised import (DEADLINE_S, TREE, alive, await_true, built, fields_of, identity, pods, workers)

pytestmark = built

SAY = "/usr/bin/python3"
# A worker that speaks sd_notify by itself: each line of its stdin... here of a FIFO, is sent as a message.
NOTIFY = """
import os, socket, sys, time
path = os.environ["NOTIFY_SOCKET"]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("\\0" + path[1:] if path[0] == "@" else path)
def say(text): s.send(text.encode())
"""


def notifier(body):
    return [SAY, "-c", NOTIFY + body]


def run_of(pod, worker):
    """The log line of its newest start."""
    return pod.find(worker, "^starting: run")[-1]


# ---- progress ----

def test_work_that_stands_still_by_notification_is_restarted_and_its_stacks_are_told(pods):
    worker = {"command": notifier("say('READY=1\\nX_PROGRESS=7')\nwhile True: time.sleep(0.1); say('X_PROGRESS=7')"),
              "readiness": {"notify": True}, "progress": {"notify": True, "stalled_after": "1s"}}
    pod = pods(workers(one=worker))
    first = pod.ready("one")
    stop = pod.log("one", "^stopping: its progress has stood at 7 for 1s")
    assert stop["level"] == "info"
    stacks = pod.find("one", rf"^pid {first}, thread {first} \(python3\): state ", until=stop.index)
    assert stacks, "what it was doing is in the log before it is ended"
    assert pod.ready("one", after=stop) != first
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_work_that_moves_is_left_alone_and_shown(pods):
    body = "say('READY=1')\nfor i in range(10**9): say(f'X_PROGRESS={i}'); time.sleep(0.05)"
    pod = pods(workers(one={"command": notifier(body), "readiness": {"notify": True},
                            "progress": {"notify": True, "stalled_after": "1s"}},
                       clock={"command": ["sh", "-c", "sleep 3"], "kind": "task"}))
    pod.ready("one")
    pod.log("clock", "^succeeded")
    assert len(pod.find("one", "^starting")) == 1
    assert pod.stop() == 0


def test_a_stall_can_be_reported_only(pods):
    worker = {"command": notifier("say('X_PROGRESS=1')\nimport signal\nsignal.sigwait([signal.SIGUSR1]); say('X_PROGRESS=2')\n"
                                  "time.sleep(10000)"),
              "progress": {"notify": True, "stalled_after": "1s", "action": "report"}}
    worker["command"][2] = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n" + worker["command"][2]
    pod = pods(workers(one=worker))
    pid = pod.ready("one")
    assert pod.log("one", "^its progress has stood at 1 for 1s")["level"] == "warn"
    os.kill(pid, signal.SIGUSR1)
    pod.log("one", "^its work moves forward again: 2")
    assert len(pod.find("one", "^starting")) == 1
    assert pod.stop() == 0


def watched(cluster, **progress):
    return {"postgres": {"main": {"dsn": cluster.dsn, "interval": "200ms", "failure_time": "0s", "failure_threshold": 1,
                                  "success_time": "0s", "success_threshold": 1}},
            "workers": {"one": {"command": [TREE], "depends_on": ["postgres:main"],
                                "progress": {"postgres": "main", "interval": "100ms", "stalled_after": "2s", **progress}}}}


def test_work_that_stands_still_in_the_database_is_restarted_and_work_that_moves_is_not(pods, cluster):
    cluster.sql("create table blocks (height bigint); insert into blocks values (5)")
    pod = pods(watched(cluster, sql="select max(height) from blocks -- the newest"))
    first = pod.ready("one")
    stopped = pod.log("one", "^stopping: its progress has stood at 5 for 2s")
    pod.ready("one", after=stopped)
    done = {"n": 5}

    def moves():
        done["n"] += 1
        cluster.sql(f"insert into blocks values ({done['n']})")
        return done["n"] > 30
    seen = len(pod.lines) - 1
    await_true("blocks come", moves)
    assert not pod.find("one", "^stopping", after=seen)
    assert alive([identity(first)]) == []
    assert pod.stop() == 0


def test_a_query_that_fails_is_told_and_not_held_against_the_worker(pods, cluster):
    pod = pods(watched(cluster, sql="select max(height) from blocks"))
    pod.ready("one")
    assert pod.log("one", '^its progress cannot be read: relation "blocks" does not exist')["level"] == "warn"
    cluster.sql("create table blocks (height bigint)")
    told = pod.log("one", "^stopping: its progress has been null for 2s")
    assert len(pod.find("one", "cannot be read", until=told.index)) == 1
    assert pod.stop() == 0


@pytest.mark.parametrize("sql, told", [
    ("select 1, 2", "the query answered 1 row of 2 columns (expected one number)"),
    ("select generate_series(1, 3)", "the query answered 3 rows of 1 column (expected one number)"),
    ("select 'tall'", 'the query answered "tall" (expected a number)'),
    ("create table planted (i int)", "cannot execute CREATE TABLE in a read-only transaction"),
    ("select pg_sleep(100)", "canceling statement due to statement timeout"),
])
def test_a_bad_query_is_told(pods, cluster, sql, told):
    pod = pods(watched(cluster, sql=sql))
    assert pod.log("one", "^its progress cannot be read: ").msg == f"its progress cannot be read: {told}"
    assert pod.stop() == 0


def test_a_database_that_is_away_does_not_cost_the_worker_its_life(pods, cluster):
    cluster.sql("create table blocks (height bigint); insert into blocks values (5)")
    pod = pods(watched(cluster, sql="select max(height) from blocks", stalled_after="4s"))
    pod.ready("one")
    cluster.stop()
    pod.log("one", "^its progress cannot be read: ")
    cluster.start()
    back = pod.log(msg="^: it answers|^up|it answers", after=pod.log("one", "cannot be read").index, own=True)
    stopped = pod.log("one", "^stopping: its progress has stood at 5 for 4s", after=back.index)
    assert len(pod.find("one", "^stopping: its progress")) == 1 and stopped
    assert pod.stop() == 0


# ---- watchdog ----

PINGING = notifier("say('READY=1')\nwhile True: say('WATCHDOG=1'); time.sleep(0.2)")


def test_a_stopped_worker_is_found_by_its_watchdog_killed_at_once_and_started_again(pods):
    pod = pods(workers(one={"command": PINGING, "readiness": {"notify": True}, "liveness": {"notify": True, "timeout": "1s"},
                            "stop": {"timeout": "100s"}}))
    first = pod.ready("one")
    os.kill(first, signal.SIGSTOP)
    pod.log("one", rf"^pid {first}, thread {first} \(python3\): state T")
    pod.log("one", "^stopping: no WATCHDOG=1 for 1000 ms")
    pod.log("one", "^SIGKILL to everything it started: its main process is stopped and hears no signal")
    assert pod.ready("one", after=pod.log("one", "^backoff: killed by SIGKILL")) != first
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_a_worker_may_change_its_watchdog_and_end_itself_by_it(pods):
    body = "say('WATCHDOG_USEC=100000'); time.sleep(10000)"
    pod = pods(workers(one={"command": notifier(body)}, two={"command": notifier("say('WATCHDOG=trigger'); time.sleep(10000)")}))
    pod.log("one", "^stopping: no WATCHDOG=1 for 100 ms")
    pod.log("two", "^stopping: it asked for its end")
    assert pod.stop() == 0


def test_no_watchdog_kills_a_worker_that_shares_its_cpus_with_hogs(pods):
    """HOGS_S=120 in the environment makes it the two minutes of the contract."""
    spell = os.environ.get("HOGS_S", "8")
    pod = pods(workers(hog={"command": ["sh", "-c", "while :; do :; done"], "instances": 8},
                       pinging={"command": PINGING, "instances": 4, "readiness": {"notify": True},
                                "liveness": {"notify": True, "timeout": "2s"}},
                       checked={"command": [TREE], "liveness": {"exec": ["true"], "interval": "500ms", "timeout": "2s"}},
                       clock={"command": ["sleep", spell], "kind": "task"}))
    pod.log("clock", "^succeeded", seconds=DEADLINE_S + 2 * int(spell))
    assert not pod.find(msg="^stopping") or {line["worker"] for line in pod.find(msg="^stopping")} == {"clock"}, pod.tail()
    assert all(len(pod.find(f"pinging.{i}", "^starting")) == 1 for i in range(4))
    assert pod.stop() == 0


# ---- memory ----

def test_memory_above_the_limit_restarts_it_in_order(pods):
    """Its child has the memory, its main process ends in order."""
    hungry = f"{SAY} -c 'import time; b=bytearray(96<<20); time.sleep(10000)' & trap 'echo in order; exit 0' TERM; wait"
    pod = pods(workers(one={"command": ["sh", "-c", hungry], "limits": {"memory": "64Mi"}}))
    pod.ready("one")
    stop = pod.log("one", r"^stopping: its processes use (9\d|1\d\d)Mi of memory, more than limits.memory 64Mi", seconds=4 * DEADLINE_S)
    assert pod.log("one", "^in order$", own=False, after=stop)
    pod.ready("one", after=stop)
    assert pod.stop() == 0


# ---- groups ----

def test_a_group_goes_down_and_comes_back_in_the_order_of_its_dependencies(pods):
    pod = pods(workers(base=[TREE],
                       rest={"command": [TREE], "depends_on": ["base"], "restart_with": ["base"]},
                       leaf={"command": [TREE], "depends_on": ["rest"], "restart_with": ["rest"]},
                       other={"command": [TREE], "depends_on": ["base"]}))
    old = {name: pod.ready(name) for name in ("base", "rest", "leaf", "other")}
    seen = len(pod.lines) - 1
    os.kill(old["base"], signal.SIGKILL)
    rest_down = pod.log("rest", "^stopping: a thing that it restarts with came back", seen)
    base_up = pod.log("base", "^starting", rest_down)
    assert pod.log("leaf", "^stopping: a thing that it restarts with came back", seen)
    rest_up = pod.log("rest", "^starting", base_up)
    leaf_up = pod.log("leaf", "^starting", rest_up)
    new = {name: pod.ready(name, after=seen) for name in ("base", "rest", "leaf")}
    pod.settle()
    assert all(new[name] != old[name] for name in new)
    assert not pod.find("other", "^stopping", seen) and alive([identity(old["other"])])
    assert len(pod.find("rest", "^starting", seen)) == len(pod.find("leaf", "^starting", seen)) == 1
    assert leaf_up and pod.stop() == 0


def test_one_for_all_restarts_everybody_once(pods):
    names = "abc"
    pod = pods(workers(**{name: {"command": [TREE], "restart_with": [other for other in names if other != name]} for name in names}))
    old = {name: pod.ready(name) for name in names}
    seen = len(pod.lines) - 1
    os.kill(old["b"], signal.SIGKILL)
    for name in names:
        pod.ready(name, after=seen)
    pod.settle()
    assert all(len(pod.find(name, "^starting", seen)) == 1 for name in names), pod.tail()
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_who_is_stopped_and_started_takes_its_group_along(pods):
    pod = pods(workers(base=[TREE], rest={"command": [TREE], "depends_on": ["base"], "restart_with": ["base"]}, other=[TREE]))
    old = {name: pod.ready(name) for name in ("base", "rest", "other")}
    assert pod.ask("POST", "/api/v1/workers/base/stop?wait=60").json()["done"]
    pod.settle()
    assert pod.state("rest") == "ready" and alive([identity(old["rest"])]), "a stop takes nobody along"
    seen = len(pod.lines) - 1
    assert pod.ask("POST", "/api/v1/workers/base/start?wait=60").json()["done"]
    down = pod.log("rest", "^stopping: a thing that it restarts with came back", seen)
    gone = pod.log("rest", "^waiting", down)
    pod.log("base", "^starting", gone)
    assert pod.ready("rest", after=gone) != old["rest"]
    pod.settle()
    assert len(pod.find("rest", "^starting", seen)) == 1 and alive([identity(old["other"])])
    assert pod.stop() == 0
    pod.assert_nothing_left()


# ---- stop.command ----

def test_a_stop_command_runs_first_as_the_worker_would_and_the_signal_follows(pods):
    script = 'echo "command of $PODVISOR_WORKER, main $MAINPID, $OWN"'
    pod = pods(workers(one={"command": ["sh", "-c", "trap 'echo told; exit 0' TERM; while :; do sleep 0.05; done"],
                            "env": {"OWN": "value"},
                            "stop": {"command": ["sh", "-c", script + " > own-said; kill -0 $MAINPID"]}}))
    pid = pod.ready("one")
    assert pod.stop() == 0
    assert (pod.path / "own-said").read_text() == f"command of one, main {pid}, value\n"
    assert pod.output("one") == ["told"]
    assert not pod.find("one", "stop command failed")
    pod.assert_nothing_left()


def test_what_a_stop_command_writes_is_in_the_log_and_marked(pods):
    script = 'echo flushing; echo trouble >&2; printf \'{"left":0}\\nno newline\''
    pod = pods(workers(one={"command": ["sh", "-c", "trap 'echo told; exit 0' TERM; while :; do sleep 0.05; done"],
                            "stop": {"command": ["sh", "-c", script]}},
                       many={"command": [TREE], "stop": {"command": ["seq", "1", "20000"]}}))
    pod.ready("one"), pod.ready("many")
    assert pod.stop() == 0
    said = lambda name, stream: [line for line in pod.find(name, own=False, stream=stream)]
    assert [line.msg for line in said("one", "stderr")] == ["trouble"]
    by_command = [line for line in said("one", "stdout") if line.get("command") == "stop"]
    flushing, json_object, last = by_command
    assert (flushing.msg, json_object["left"], last.msg) == ("flushing", 0, "no newline")
    assert all(line["command"] == "stop" for line in said("one", "stderr"))
    # Two pipes have no order between them; the signal's answer is the worker's own line, whenever it is read.
    assert [line.msg for line in said("one", "stdout") if line not in by_command] == ["told"]
    assert [line.msg for line in said("many", "stdout") if line.get("command") == "stop"] == [str(i) for i in range(1, 20001)]
    pod.assert_nothing_left()


def test_a_stop_command_that_ends_the_worker_is_enough_and_one_that_hangs_is_no_excuse(pods):
    deaf = [TREE, "deaf"]
    pod = pods(workers(ended={"command": deaf, "stop": {"timeout": "100s", "command": ["sh", "-c", "kill -9 $MAINPID; sleep 1000"]}},
                       hung={"command": deaf, "stop": {"timeout": "300ms", "command": ["sleep", "1000"]}},
                       failing={"command": [TREE], "stop": {"command": ["sh", "-c", "echo no such thing >&2; exit 3"]}}))
    for name in ("ended", "hung", "failing"):
        pod.log(name, "^ready: pid")
    pod.log("ended", "^ready$", own=False), pod.log("hung", "^ready$", own=False)
    assert pod.stop() == 0
    assert pod.find("failing", "^its stop command failed: .*no such thing")
    assert pod.find("hung", "^SIGKILL to everything it started: its stop time-out is over")
    pod.assert_nothing_left()


def test_a_stop_command_may_ask_the_whole_group(pods):
    """As the book has it in place of stopasgroup: each child ends in its own time, and the shell after them."""
    child = "trap 'sleep 0.3; echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    script = 'trap : TERM; sh -c "$CHILD" & sh -c "$CHILD" & until wait; do :; done; exit 7'
    pod = pods({**workers(pool={"command": ["sh", "-c", script], "env": {"CHILD": child},
                                "stop": {"command": ["sh", "-c", "kill -s TERM -- -$MAINPID"], "timeout": f"{DEADLINE_S}s"}}),
                "shutdown": {"deadline": f"{2 * DEADLINE_S}s"}})
    pod.log("pool", "^up$", own=False, count=2)
    assert pod.stop() == 0
    assert sorted(pod.output("pool")) == ["asked", "asked", "up", "up"]
    assert pod.find("pool", "^stopped: exited with code 7") and not pod.find("pool", "SIGKILL|had to be killed")
    pod.assert_nothing_left()


# ---- another main process ----

@pytest.mark.parametrize("child", ["a child", "a grandchild"])
def test_the_named_main_process_is_the_run_from_then_on(pods, child):
    spawn = "pid = os.fork()\n" if child == "a child" else (
        "r, w = os.pipe()\nif os.fork() == 0:\n  p = os.fork()\n  if p: os.write(w, str(p).encode()); time.sleep(10000)\n"
        "  pid = 0\nelse: pid = int(os.read(r, 20))\n")
    body = ("import signal\nsignal.signal(signal.SIGTERM, lambda *_: os._exit(5))\nup = os.pipe()\n" + spawn +
            # Python forgets in a new process which signals came before it was one.
            "if pid == 0:\n  os.write(up[1], b'.')\n  while True: time.sleep(10000)\n"
            "os.read(up[0], 1)\n"
            "r2, w2 = os.pipe()\n"
            "import array\n"
            "say(f'MAINPID={pid}')\n"
            "s.sendmsg([b'BARRIER=1'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [w2]))])\n"
            "os.close(w2); os.read(r2, 1)\nprint('passed on to', pid, flush=True)")
    pod = pods(workers(one={"command": notifier(body), "restart": {"policy": "never"}}))
    pid = int(pod.log("one", "^passed on to", own=False).msg.split()[-1])
    pod.settle()
    assert re.search(rf"pid {pid}\b", pod.find("one", "^(ready|running): pid")[-1].msg) or pod.state("one") == "ready"
    assert alive([identity(pid)]), "it lives on although the first process has ended"
    os.kill(pid, signal.SIGTERM)
    pod.log("one", "^failed: exited with code 5")
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_a_stranger_cannot_be_named_as_main_process(pods):
    stranger = subprocess.Popen(["sleep", "1000"])
    try:
        pod = pods(workers(one={"command": notifier(f"say('MAINPID={stranger.pid}\\nSTATUS=named')\ntime.sleep(10000)")}))
        pid = pod.ready("one")
        pod.settle()
        assert pod.stop() == 0
        assert stranger.poll() is None and not pod.find("one", f"pid {stranger.pid}") and pid
    finally:
        stranger.kill()
        stranger.wait()
