"""The sd_notify protocol, as sd_notify(3) documents it and systemd's own integration tests use it (TEST-16-EXTEND-TIMEOUT,
TEST-20-MAINPIDGAMES, TEST-41-ONESHOT-RESTART, TEST-59-RELOADING-RESTART), spoken by the stock systemd-notify.
docs/conformance.md has the table."""
import os
import re
import shutil
import signal
import socket

import pytest

from supervised import TREE, await_true, built, fields_of, pods, workers

NOTIFY = shutil.which("systemd-notify")
pytestmark = [built, pytest.mark.skipif(not NOTIFY, reason="systemd-notify is not installed")]


def says(script):
    """A worker that runs this script of the shell; go WORD waits until the test lets it go on."""
    return ["bash", "-c", 'go() { read -r word < "own-$1"; }\nsay() { systemd-notify "$@"; }\nset -e\n' + script.replace("$", "$$")]


def gates(*names):
    return {"options": {"preexec_fn": lambda: [os.mkfifo(f"own-{name}") for name in names]}}


def let_go(pod, name):
    (pod.path / f"own-{name}").write_text("go\n")


# ---- READY, STATUS, STOPPING ----

def test_it_is_ready_when_it_says_so_and_its_status_is_shown(pods):
    script = 'say --status="Warming up"; go on; say --ready --status="Serving 3 clients"; echo said; sleep 1000'
    pod = pods(workers(one={"command": says(script), "readiness": {"notify": True}}), **gates("on"))
    await_true("its status", lambda: pod.worker("one")["status_text"] == "Warming up")
    assert pod.worker("one")["state"] == "running" and pod.find("one", "^ready") == []
    let_go(pod, "on")
    pod.ready("one")
    pod.log("one", "^said$", own=False)
    assert pod.worker("one")["status_text"] == "Serving 3 clients"
    assert pod.stop() == 0


def test_the_sender_is_told_that_its_message_was_taken(pods):
    """systemd-notify sends BARRIER=1 with a descriptor and waits until it is closed; it fails when that does not happen."""
    script = "for i in 1 2 3 4 5; do say STATUS=$i; done; say --ready; echo taken; sleep 1000"
    pod = pods(workers(one={"command": says(script), "readiness": {"notify": True}}))
    pod.log("one", "^taken$", own=False)
    pod.settle()
    assert pod.state("one") == "ready"
    assert pod.stop() == 0


def test_messages_whose_senders_are_gone_already_count(pods):
    script = "for i in $(seq 200); do say --no-block STATUS=$i; done; say --no-block --ready; sleep 1000"
    pod = pods(workers(one={"command": says(script), "readiness": {"notify": True}}))
    pod.ready("one")
    assert pod.worker("one")["status_text"] == "200"
    assert pod.stop() == 0


def test_a_flood_of_messages_keeps_nobody_else_waiting(pods):
    flood = ("import os, socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
             "s.connect(chr(0) + os.environ['NOTIFY_SOCKET'][1:])\nprint('begun', flush=True)\nwhile True: s.send(b'STATUS=more')\n")
    pod = pods(workers(flood=["/usr/bin/python3", "-c", flood], one={"command": says("say --ready; sleep 1000"),
                                                                     "readiness": {"notify": True}}))
    pod.log("flood", "^begun$", own=False)
    pod.ready("one")
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_strange_messages_are_ignored(pods):
    odd = ("import os, socket\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
           "for text in (b'', b'=', b'READY', b'READY=', b'READY=2', b'ready=1', b' READY=1', b'READY=1x', b'\\0READY=1', b'X' * 100000,\n"
           "             b'MAINPID=0', b'MAINPID=-1', b'MAINPID=1', b'MAINPID=1073741824', b'MAINPID=x', b'WATCHDOG=2',\n"
           "             b'EXTEND_TIMEOUT_USEC=x', b'WATCHDOG_USEC=', b'ERRNO=x', b'STATUS', b'\\xff\\xfe=\\xfd'):\n"
           "    s.sendto(text, chr(0) + os.environ['NOTIFY_SOCKET'][1:])\n"
           "print('sent', flush=True)\nimport signal; signal.pause()\n")
    pod = pods(workers(one={"command": ["/usr/bin/python3", "-c", odd], "readiness": {"notify": True}}))
    pod.log("one", "^sent$", own=False)
    pod.settle()
    assert pod.find("one", "^ready") == [] and pod.state("one") == "running"
    assert len(pod.find("one", "^starting")) == 1
    assert pod.stop() == 0


def test_without_notify_in_the_checks_a_worker_may_speak_all_the_same(pods):
    pod = pods(workers(one={"command": says('say --ready --status="idle"; echo said; sleep 1000')}))
    pod.log("one", "^said$", own=False)
    assert pod.worker("one")["status_text"] == "idle" and pod.worker("one")["state"] == "ready"
    assert pod.stop() == 0


def test_a_new_run_begins_unready_and_without_a_status(pods):
    script = 'say --status="run" --ready; go end; exit 1'
    pod = pods(workers(one={"command": says('[ -e own-again ] && { echo again; sleep 1000; }; touch own-again\n' + script),
                            "readiness": {"notify": True}}), **gates("end"))
    pod.ready("one")
    let_go(pod, "end")
    pod.log("one", "^again$", own=False)
    pod.settle()
    told = pod.worker("one")
    assert (told["state"], told["status_text"]) == ("running", "")
    assert pod.stop() == 0


def test_stopping_is_no_failure_and_its_end_is_awaited(pods):
    """systemd: deactivating; no watchdog, no check disturbs it any more."""
    script = "trap 'say STOPPING=1; echo leaving; go out; exit 0' TERM; say --ready; echo up; while :; do sleep 1000 & wait; done"
    pod = pods(workers(one={"command": says(script), "readiness": {"notify": True}}), **gates("out"))
    pod.log("one", "^up$", own=False)
    pod.kill()
    pod.log("one", "^leaving$", own=False)
    let_go(pod, "out")
    assert pod.wait() == 0
    assert pod.find("one", "^stopped: exited with code 0")


# ---- TEST-16: EXTEND_TIMEOUT_USEC ----

def extends(seconds_each, pauses):
    """Asks for more time again and again, each time before the last is over."""
    return f"for i in $(seq {pauses}); do say EXTEND_TIMEOUT_USEC={int(seconds_each * 1e6)}; sleep 0.2; done\n"


def test_a_stop_takes_as_long_as_it_is_extended(pods):
    script = f"trap '{extends(10, 10).strip()}; echo done; exit 0' TERM; echo up; while :; do sleep 1000 & wait; done"
    pod = pods(workers(one={"command": says(script.replace("\n", ";")), "stop": {"timeout": "1s"}}))
    pod.log("one", "^up$", own=False)
    assert pod.stop() == 0
    assert pod.output("one") == ["up", "done"] and pod.find("one", "^stopped: exited with code 0")
    assert not pod.find("one", "SIGKILL")


def test_a_stop_that_is_not_extended_in_time_is_over(pods):
    script = "trap 'say EXTEND_TIMEOUT_USEC=500000; echo asked; sleep 1000' TERM; echo up; while :; do sleep 1000 & wait; done"
    pod = pods(workers(one={"command": says(script), "stop": {"timeout": "100ms"}}))
    pod.log("one", "^up$", own=False)
    assert pod.stop() == 0
    assert pod.output("one") == ["up", "asked"]
    assert pod.find("one", "SIGKILL to everything it started: its stop time-out is over")


# ---- TEST-41: restarts of what runs once ----

def test_a_task_that_fails_is_tried_again_as_often_as_its_limit_says(pods):
    pod = pods(workers(one={"command": ["sh", "-c", "printf a >> own-tries; exit 1"], "kind": "task",
                            "restart": {"policy": "on-failure", "limit": {"count": 3, "window": "120s"},
                                        "backoff": {"initial": "1ms"}}}))
    pod.log("one", "^failed: exited with code 1; 3 restarts within 120 s are its limit")
    pod.settle()
    assert (pod.path / "own-tries").read_text() == "aaaa", "one start and three restarts"
    assert pod.stop() == 0
