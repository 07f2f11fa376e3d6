"""The sd_notify protocol, as sd_notify(3) documents it and systemd's own integration tests use it (TEST-16-EXTEND-TIMEOUT,
TEST-20-MAINPIDGAMES, TEST-41-ONESHOT-RESTART, TEST-59-RELOADING-RESTART), spoken by the stock systemd-notify.
docs/conformance.md has the table."""
import os
import re
import shutil
import signal

import pytest

from supervised import TREE, await_true, built, pods, workers

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
    pod.ready("one")
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
    pod.log("one", "^running: pid")
    pod.settle()
    assert pod.find("one", "^ready") == [] and pod.state("one") == "running"
    assert len(pod.find("one", "^starting")) == 1
    assert pod.stop() == 0


def test_without_notify_in_the_checks_a_worker_may_speak_all_the_same(pods):
    pod = pods(workers(one={"command": says('say --ready --status="idle"; echo said; sleep 1000')}))
    pod.log("one", "^said$", own=False)
    pod.ready("one")
    assert pod.worker("one")["status_text"] == "idle" and pod.worker("one")["state"] == "ready"
    assert pod.stop() == 0


def test_a_new_run_begins_unready_and_without_a_status(pods):
    script = 'say --status="run" --ready; go end; exit 1'
    pod = pods(workers(one={"command": says('[ -e own-again ] && { echo again; sleep 1000; }; touch own-again\n' + script),
                            "readiness": {"notify": True}}), **gates("end"))
    pod.ready("one")
    let_go(pod, "end")
    again = pod.log("one", "^again$", own=False)
    pod.log("one", "^running: pid .*not ready yet", count=2)
    pod.settle()
    told = pod.worker("one")
    assert (told["state"], told["status_text"]) == ("running", "") and not pod.find("one", "^ready", after=again.index)
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


def test_a_start_takes_as_long_as_it_is_extended(pods):
    script = extends(10, 12) + "say --ready; sleep 1000"
    pod = pods(workers(one={"command": says(script), "readiness": {"notify": True},
                            "startup": {"notify": True, "interval": "1s", "timeout": "1s", "failure_threshold": 1}}))
    pod.ready("one")
    assert len(pod.find("one", "^starting")) == 1 and not pod.find("one", "^stopping")
    assert pod.stop() == 0


def test_a_start_that_is_not_extended_in_time_is_over(pods):
    script = "say EXTEND_TIMEOUT_USEC=1500000; echo asked; sleep 1000"
    pod = pods(workers(one={"command": says(script), "startup": {"notify": True, "interval": "1s", "timeout": "1s",
                                                                 "failure_threshold": 1}}))
    pod.log("one", "^asked$", own=False)
    pod.log("one", "^stopping: no READY=1 within [0-9]+ ms")
    pod.log("one", "^starting: run", count=2)
    assert pod.find("one", "^ready") == []
    assert pod.stop() == 0


def test_a_start_without_a_word_is_over_at_its_time_out(pods):
    pod = pods(workers(one={"command": [TREE], "startup": {"notify": True, "interval": "300ms", "timeout": "300ms",
                                                           "failure_threshold": 1}}))
    pod.log("one", "^stopping: no READY=1 within [0-9]+ ms")
    assert pod.stop() == 0


# ---- TEST-20: MAINPID games ----

def main_pid(pod):
    return pod.worker("one")["pid"]


GAMES = """
sleep 1000 & inside=$!
say --ready; echo "inside $inside"
go inside; say MAINPID=$inside; echo told
go back; say MAINPID=$$; echo told
for bad in 0 -1 1 1073741824 nonsense; do say MAINPID=$bad; done; echo told
go outside; read -r outside < own-pid; say MAINPID=$outside; echo told
wait
"""


def test_the_main_process_is_the_one_that_the_worker_names_among_its_own(pods):
    pod = pods(workers(one={"command": says(GAMES), "readiness": {"notify": True}}, other=[TREE]), **gates("inside", "back", "outside"))
    first = pod.ready("one")
    inside = int(pod.log("one", "^inside ", own=False).msg.split()[1])

    def told(name=None):
        seen = len(pod.lines) - 1
        if name:
            let_go(pod, name)
        return pod.log("one", "^told$", seen, own=False)

    told("inside")
    await_true("the named process is the main one", lambda: main_pid(pod) == inside)
    told("back")
    pod.log("one", "^told$", own=False, count=3)
    pod.settle()
    assert main_pid(pod) == first, "none of the bad ones was taken"
    (pod.path / "own-pid").write_text(f"{pod.ready('other')}\n")
    told("outside")
    pod.settle()
    assert main_pid(pod) == first, "a process of another worker"
    assert len(pod.find("one", "^starting")) == 1
    assert pod.stop() == 0


def test_the_run_is_as_long_as_the_process_that_was_named(pods):
    """A daemon that forks: its first process ends, the worker does not."""
    script = "bash -c 'read -r x < own-end; exit 7' & say MAINPID=$! ; say --ready; echo leaving; exit 0"
    pod = pods(workers(one={"command": says(script), "readiness": {"notify": True}, "restart": {"policy": "never"}}), **gates("end"))
    pod.log("one", "^leaving$", own=False)
    pod.settle()
    assert pod.state("one") == "ready"
    let_go(pod, "end")
    pod.log("one", "^failed: exited with code 7")
    assert pod.stop() == 0


def test_signals_go_to_the_process_that_was_named(pods):
    named = "trap 'echo named; exit 0' TERM; echo up; while :; do sleep 1000 & wait; done"
    script = f"trap 'echo first' TERM; bash -c \"{named}\" & say MAINPID=$! --ready; echo told; while :; do wait; done"
    pod = pods(workers(one={"command": says(script), "readiness": {"notify": True}}))
    pod.log("one", "^told$", own=False), pod.log("one", "^up$", own=False)
    assert pod.stop() == 0
    assert "named" in pod.output("one") and "first" not in pod.output("one")


# ---- TEST-41: restarts of what runs once ----

def test_a_task_that_fails_is_tried_again_as_often_as_its_limit_says(pods):
    pod = pods(workers(one={"command": ["sh", "-c", "printf a >> own-tries; exit 1"], "kind": "task",
                            "restart": {"policy": "on-failure", "limit": {"count": 3, "window": "120s"},
                                        "backoff": {"initial": "1ms"}}}))
    pod.log("one", "^failed: exited with code 1; 3 restarts within 120 s are its limit")
    pod.settle()
    assert (pod.path / "own-tries").read_text() == "aaaa", "one start and three restarts"
    assert pod.stop() == 0


# ---- TEST-59: RELOADING ----

RELOADS = """
code=88
reload() { say RELOADING=1 --status="Adding 11"; code=$((code + 11)); go on; say --ready --status="Back"; echo reloaded; }
leave() { say STOPPING=1 --status="Adding 7"; code=$((code + 7)); left=1; }
trap reload HUP; trap leave TERM
say --ready; echo up
while [ -z "$left" ]; do sleep 0.05; done
exit $((code + 3))
"""


def test_a_worker_that_reloads_itself_stays_ready_and_says_so(pods):
    pod = pods(workers(one={"command": says(RELOADS), "readiness": {"notify": True}, "restart": {"policy": "never"}}), **gates("on"))
    pod.log("one", "^up$", own=False)
    pid = pod.ready("one")
    os.kill(pid, signal.SIGHUP)
    pod.log("one", "^ready: pid [0-9]+, reloading$")
    assert pod.worker("one")["status_text"] == "Adding 11" and pod.worker("one")["state"] == "ready"
    let_go(pod, "on")
    pod.log("one", "^reloaded$", own=False)
    await_true("it is done", lambda: pod.worker("one")["reason"] == f"pid {pid}")
    assert pod.stop() == 0
    assert pod.find("one", "exited with code 109"), "each step was taken"


@pytest.mark.parametrize("restart, starts", [({"policy": "never"}, 1),
                                             ({"policy": "on-failure", "limit": {"count": 1}, "backoff": {"initial": "1ms"}}, 2)])
def test_a_worker_that_ends_while_it_reloads_does_not_linger(pods, restart, starts):
    pod = pods(workers(one={"command": says("say --ready; say RELOADING=1; exit 1"), "readiness": {"notify": True},
                            "restart": restart}))
    pod.log("one", "^failed: exited with code 1")
    assert len(pod.find("one", "^starting")) == starts
    assert len(pod.find("one", "^ready: .*reloading")) == starts
    assert pod.stop() == 0


def test_a_worker_that_is_killed_while_it_reloads_does_not_linger(pods):
    pod = pods(workers(one={"command": says("ulimit -c 0; say --ready; say RELOADING=1; sleep 1000"), "readiness": {"notify": True},
                            "restart": {"policy": "never"}}))
    pid = int(re.search(r"\d+", pod.log("one", "^ready: .*reloading").msg)[0])
    os.kill(pid, signal.SIGABRT)
    pod.log("one", "^failed: killed by SIGABRT")
    assert pod.stop() == 0


# ---- the rest of sd_notify(3) ----

def test_a_worker_that_says_that_it_stops_is_not_restarted_before_it_has(pods):
    pod = pods(workers(one={"command": says("say --ready; say STOPPING=1; go on; exit 0"), "readiness": {"notify": True},
                            "liveness": {"notify": True, "timeout": "200ms"}, "stop": {"timeout": "1m"},
                            "restart": {"policy": "never"}}), **gates("on"))
    pod.log("one", "^stopping: it says that it is stopping")
    let_go(pod, "on")
    pod.log("one", "^stopped: exited with code 0")
    assert not pod.find("one", "WATCHDOG")
    assert pod.stop() == 0


def test_a_worker_may_ask_to_be_treated_as_hung(pods):
    pod = pods(workers(one={"command": says("say --ready; say WATCHDOG=trigger; sleep 1000"), "readiness": {"notify": True},
                            "liveness": {"notify": True, "timeout": "1h"}}))
    pod.log("one", "^stopping: .*WATCHDOG=trigger")
    pod.log("one", "^starting: run", count=2)
    assert pod.stop() == 0


def test_a_worker_may_change_its_watchdog(pods):
    pod = pods(workers(one={"command": says("say --ready; say WATCHDOG_USEC=300000; say WATCHDOG=1; sleep 1000"),
                            "readiness": {"notify": True}, "liveness": {"notify": True, "timeout": "1h"}}))
    pod.log("one", "^stopping: no WATCHDOG=1 for 300 ms")
    assert pod.stop() == 0


def test_the_error_that_a_worker_names_is_told_with_its_end(pods):
    pod = pods(workers(one={"command": says('say ERRNO=28 --status="the disk is full"; exit 1'), "restart": {"policy": "never"}}))
    assert "No space left on device" in pod.log("one", "^failed: exited with code 1").msg
    assert pod.stop() == 0


def test_descriptors_that_a_worker_wants_kept_are_refused_and_closed(pods):
    """The pipe's other end sees that nobody holds it."""
    keep = ("import os, socket\nr, w = os.pipe()\ns = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            "s.connect(chr(0) + os.environ['NOTIFY_SOCKET'][1:])\nsocket.send_fds(s, [b'FDSTORE=1\\nFDNAME=one'], [w])\nos.close(w)\n"
            "print('closed', os.read(r, 1), flush=True)\nimport signal; signal.pause()\n")
    pod = pods(workers(one=["/usr/bin/python3", "-c", keep]))
    pod.log("one", "^closed b''$", own=False)
    pod.log("one", "FDSTORE")
    assert pod.stop() == 0
