"""The process supervisor: order, readiness, restarts, stops, and nothing left behind."""
import datetime
import errno
import http.client
import http.server
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from podvisor import exchange, not_under_valgrind
from supervised import (DEADLINE_S, FIXTURES, GATE, MANY, PODVISOR, TELL, TREE, alive, arguments_of, assert_early_stops_are_obeyed,
                        await_true, built, end_many_at_once, fields_of, gate, has_signal, own_mounts, pods, root_only, workers,
                        zombies_of)

pytestmark = built

SOON = {"interval": "20ms", "timeout": "5s"}
EVER = ["sh", "-c", "while :; do sleep 1000; done"]  # a shell that does not become its last command


def order(pod, *steps):
    """Asserts that these lines stand in the log in this order, each awaited; returns them."""
    found = []
    for worker, msg in steps:
        found.append(pod.log(worker, msg, found[-1] if found else -1))
    return found


def seconds_between(pod, worker, first, second):
    """By the log's own clock."""
    moments = [datetime.datetime.fromisoformat(pod.find(worker, msg)[0]["ts"].replace("Z", "+00:00")) for msg in (first, second)]
    return (moments[1] - moments[0]).total_seconds()


# ---- order ----

def test_workers_start_when_what_they_depend_on_is_ready(pods):
    pod = pods(workers(
        last={"command": [TREE], "depends_on": ["middle", "worker:task"]},
        middle={"command": [TREE], "depends_on": ["first"], "readiness": {"exec": ["true"], **SOON}},
        task={"command": ["true"], "kind": "task", "depends_on": ["middle"]},
        first={"command": [TREE]}))
    order(pod, ("first", "^starting"), ("first", "^ready"), ("middle", "^starting"), ("middle", "^ready"), ("task", "^starting"),
          ("task", "^succeeded"), ("last", "^starting"), ("last", "^ready"))
    assert len(pod.find(msg="^starting")) == 4
    assert pod.find("last", "^waiting: worker:(middle|task) is ")
    assert pod.stop() == 0


def test_a_task_that_fails_is_tried_again_and_its_dependants_wait(pods):
    pod = pods(workers(
        task={"command": ["sh", "-c", 'echo try >> own-tries; [ "$(wc -l < own-tries)" -ge 3 ]'], "kind": "task",
              "restart": {"backoff": {"initial": "1ms"}}},
        after={"command": [TREE], "depends_on": ["task"]}))
    pod.ready("after")
    begun = pod.find("after", "^starting")[0]
    assert len(pod.find("task", r"exited with code 1; starting again", until=begun.index)) == 2
    assert pod.find("task", "^succeeded: exited with code 0", until=begun.index)
    assert pod.stop() == 0


def test_a_task_that_fails_for_good_keeps_its_dependants_waiting(pods):
    pod = pods(workers(
        task={"command": ["false"], "kind": "task", "restart": {"policy": "never"}},
        after={"command": [TREE], "depends_on": ["task"]}))
    pod.log("task", "^failed: exited with code 1")
    pod.settle()
    assert pod.state("after") == "waiting"
    assert pod.find("after", "^starting") == []
    assert pod.stop() == 0


def test_instances_know_their_index_and_have_names(pods):
    pod = pods(workers(many={"command": ["sh", "-c", 'echo "$PODVISOR_WORKER $PODVISOR_INSTANCE_INDEX"; exec sleep 1000'],
                             "instances": 4}, after={"command": [TREE], "depends_on": ["many"]}))
    for i in range(4):
        assert pod.log(f"many.{i}", own=False, stream="stdout").msg == f"many.{i} {i}"
    pod.ready("after")
    begun = pod.find("after", "^starting")[0].index
    assert all(pod.find(f"many.{i}", "^ready", until=begun) for i in range(4))
    assert pod.stop() == 0
    pod.assert_nothing_left()


# ---- readiness ----

class Healthz:
    """A file server that answers with the status it is told."""

    def __enter__(self):
        outer, self.status, self.asked = self, 503, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *words):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def good(self):
        self.status = 204

    def bad(self):
        self.status = 500

    def check(self):
        return {"http": f"http://127.0.0.1:{self.server.server_port}/healthz"}


class Port:
    def __enter__(self):
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", 0))  # bound, not listening: refused
        self.number = self.socket.getsockname()[1]
        return self

    def __exit__(self, *_):
        self.socket.close()

    def good(self):
        self.socket.listen(100)

    def bad(self):
        self.socket.close()

    def check(self):
        return {"tcp": f"127.0.0.1:{self.number}"}


class Flag:
    def __init__(self, place, form):
        self.file, self.form = pathlib.Path(place) / "flag", form

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def good(self):
        self.file.touch()

    def bad(self):
        self.file.unlink()

    def check(self):
        return {"file": str(self.file)} if self.form == "file" else {"exec": ["test", "-e", str(self.file)]}


@pytest.mark.parametrize("kind", ["http", "tcp", "exec", "file"])
def test_a_worker_is_ready_while_its_check_says_so(pods, tmp_path, kind):
    with {"http": Healthz, "tcp": Port}.get(kind, lambda: Flag(tmp_path, kind))() as thing:
        pod = pods(workers(api={"command": [TREE], "readiness": {**thing.check(), **SOON, "failure_threshold": 2}},
                           after={"command": [TREE], "depends_on": ["api"]}))
        refused = pod.log("api", "^running: not ready: ")
        assert pod.find(msg="^ready") == [] and pod.find("after", "^starting") == []
        thing.good()
        ready = pod.log("api", "^ready: pid", refused)
        pod.ready("after")
        thing.bad()
        lost = pod.log("api", "^running: not ready: ", ready)
        assert len(lost.msg) > len("running: not ready: "), "with a reason"
        assert pod.state("after") == "ready", "it stays up: on_dependency_loss is keep"
        assert len(pod.find(msg="^starting")) == 2, "readiness restarts nobody"
        assert pod.stop() == 0
        pod.assert_nothing_left()


def test_an_exec_check_that_hangs_counts_as_failed_and_leaves_nothing(pods):
    pod = pods(workers(api={"command": [TREE], "readiness": {"exec": [TREE, "session", "daemon", "deaf"], "interval": "20ms",
                                                              "timeout": "100ms", "failure_threshold": 1}}))
    pod.log("api", "^running: not ready: .*(100 ms|time)")
    pod.settle()
    assert pod.stop() == 0
    pod.assert_nothing_left()


def shim_above(pod, program, word):
    """The shim of the process of this program whose last argument is this word; None when there is none."""
    for pid in pod.marked():
        argv = arguments_of(pid)
        if argv[:1] == [program] and argv[-1:] == [word]:
            return pod.shim_of(pid)
    return None


@pytest.mark.parametrize("kind", ["check", "stop command"])
def test_podvisor_does_not_end_before_what_its_checks_and_stop_commands_run(pods, kind):
    """Their shim is stopped, so that it cannot be quicker than podvisor by luck."""
    check, stop = (["sh", "-c", script, "held"] for script in
                   ("while :; do sleep 1000; done", "read go < own-go; kill -9 $MAINPID; while :; do sleep 1000; done"))
    pod = pods(workers(api={"command": [TREE], **({"readiness": {"exec": check, "timeout": "1h"}} if kind == "check" else
                                                  {"stop": {"command": stop, "timeout": "1h"}})}),
               options={"preexec_fn": lambda: os.mkfifo("own-go")})
    pod.log("api", "^(running|ready): pid")
    if kind == "stop command":
        pod.kill()
    os.kill(await_true("it runs", lambda: shim_above(pod, "sh", "held")), signal.SIGSTOP)
    if kind == "stop command":
        (pod.path / "own-go").write_text("go\n")
    else:
        pod.kill()
    assert pod.wait() == 0
    pod.assert_nothing_left()


def test_several_thousand_checks_of_a_second_leave_no_process(pods):
    pod = pods(workers(api={"command": [TREE], "readiness": {"exec": ["sh", "-c", "echo >> own-checks"], "interval": "10ms"}}))
    pod.ready("api")
    checks = pod.path / "own-checks"
    await_true("many checks", lambda: checks.stat().st_size >= 50)
    assert pod.stop() == 0
    pod.assert_nothing_left()


NOTIFY = pytest.mark.skipif(not shutil.which("systemd-notify"), reason="systemd-notify is not installed")


@NOTIFY
def test_the_stock_systemd_notify_makes_a_worker_ready(pods):
    script = "read go < own-go; systemd-notify --ready --status=serving; exec sleep 1000"
    pod = pods(workers(api={"command": ["sh", "-c", script], "readiness": {"notify": True}},
                       after={"command": [TREE], "depends_on": ["api"]}),
               options={"preexec_fn": lambda: os.mkfifo("own-go")})
    pod.log("api", "^running: pid .*not ready yet")
    assert pod.find("after", "^starting") == []
    with open(pod.path / "own-go", "w") as go:
        go.write("go\n")
    pod.ready("api")
    pod.ready("after")
    assert pod.stop() == 0
    pod.assert_nothing_left()


def notify(address, text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(text, "\0" + address[1:] if address.startswith("@") else address)


@NOTIFY
def test_a_message_from_a_foreign_process_is_ignored(pods):
    script = 'echo "$NOTIFY_SOCKET"; read go < own-go; systemd-notify --ready; exec sleep 1000'
    pod = pods(workers(api={"command": ["sh", "-c", script], "readiness": {"notify": True}},
                       other={"command": ["sh", "-c", 'read to < own-to; NOTIFY_SOCKET="$to" systemd-notify --ready; '
                                                      'echo sent; exec sleep 1000']}),
               options={"preexec_fn": lambda: (os.mkfifo("own-go"), os.mkfifo("own-to"))})
    address = pod.log("api", own=False, stream="stdout").msg
    notify(address, b"READY=1")
    with open(pod.path / "own-to", "w") as to:  # another worker is a foreigner too
        to.write(address + "\n")
    pod.log("other", "^sent", own=False)
    pod.settle()
    assert pod.state("api") == "running"
    assert pod.find("api", "^ready") == []
    with open(pod.path / "own-go", "w") as go:
        go.write("go\n")
    pod.ready("api")
    assert pod.stop() == 0


def test_what_a_worker_says_just_before_its_end_counts(pods):
    quick = {"command": [TELL, "STATUS=a", "READY=1"], "kind": "task", "startup": {"notify": True}, "instances": 40}
    pod = pods(workers(quick=quick))
    pod.log(msg="^succeeded", count=40)
    told = [line["worker"] for line in pod.find(msg="^running: pid")]
    assert sorted(told) == sorted(f"quick.{i}" for i in range(40))
    assert pod.stop() == 0


def test_a_flood_of_messages_holds_nothing_up(pods):
    pod = pods(workers(loud={"command": [TELL, *["STATUS=x"] * 5000, "READY=1"], "kind": "task", "startup": {"notify": True},
                             "instances": 20}))
    pod.log(msg="^succeeded", count=20)
    assert len(pod.find(msg="^running: pid")) == 20
    assert pod.stop() == 0


@root_only
def test_a_sender_that_is_gone_is_judged_by_its_user(pods):
    pod = pods(workers(api={"command": ["sh", "-c", 'echo "$NOTIFY_SOCKET"; exec sleep 1000'], "readiness": {"notify": True}}))
    address = pod.log("api", own=False, stream="stdout").msg

    def tell_and_end(user):
        pod.settle()
        pod.kill(signal.SIGSTOP)  # so that the sender is gone before podvisor asks for its parents
        done = subprocess.run([TELL, "READY=1"], env={"NOTIFY_SOCKET": address}, user=user, stdin=subprocess.DEVNULL)
        pod.kill(signal.SIGCONT)
        assert done.returncode == 0
        pod.settle()
        return pod.state("api")

    assert tell_and_end(65534) == "running"
    assert tell_and_end(os.geteuid()) == "ready"
    assert pod.stop() == 0


@not_under_valgrind("the masks that /proc shows are its own")
def test_a_stop_signal_at_any_early_moment_is_obeyed(pods):
    assert_early_stops_are_obeyed(pods)


# ---- checks that restart ----

def test_a_startup_check_that_fails_restarts_the_worker(pods, tmp_path):
    flag = tmp_path / "flag"
    pod = pods(workers(api={"command": [TREE], "startup": {"file": str(flag), **SOON, "failure_threshold": 3},
                            "restart": {"limit": {"count": 64}}}))
    old = pod.log("api", "^starting: run 1$")
    failed = pod.log("api", "^stopping: its startup check failed", old)
    assert pod.find("api", "^ready") == []
    flag.touch()
    pod.ready("api", after=failed)
    assert pod.stop() == 0


def test_a_liveness_check_that_fails_restarts_the_worker(pods, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    pod = pods(workers(api={"command": [TREE, "session"], "liveness": {"exec": ["test", "-e", str(flag)], **SOON}}))
    pod.ready("api")
    await_true("its whole tree", lambda: len(pod.tree_of("api")) >= 2)
    old = pod.tree_of("api")
    flag.unlink()
    failed = pod.log("api", "^stopping: its liveness check failed")
    flag.touch()
    pod.ready("api", after=failed)
    assert alive(old) == []
    assert pod.stop() == 0


@NOTIFY
def test_a_worker_that_stops_petting_the_watchdog_is_restarted(pods):
    script = 'echo "$WATCHDOG_USEC"; for i in 1 2 3; do systemd-notify WATCHDOG=1; done; exec sleep 1000'
    pod = pods(workers(api={"command": ["sh", "-c", script], "liveness": {"notify": True, "timeout": "300ms"}}))
    assert pod.log("api", own=False, stream="stdout").msg == "300000"
    failed = pod.log("api", "^stopping: no WATCHDOG=1 for 300 ms")
    pod.ready("api", after=failed)
    assert pod.stop() == 0


def test_a_startup_that_is_a_time_is_over_when_the_worker_has_lasted(pods):
    soon = {"startup": {"initial_delay": "700ms"}, "restart": {"backoff": {"initial": "1ms"}, "limit": {"count": 3}}}
    pod = pods(workers(lasts={"command": [TREE], **soon}, after={"command": [TREE], "depends_on": ["lasts"]},
                       ends={"command": ["sh", "-c", "exit 1"], **soon}, never={"command": [TREE], "depends_on": ["ends"]}))
    pod.ready("after")
    order(pod, ("lasts", "^starting"), ("lasts", "^ready: pid"), ("after", "^starting"))
    pod.log("ends", "^failed: exited with code 1")
    assert seconds_between(pod, "lasts", "^starting", "^ready: pid") >= 0.69
    assert pod.find("ends", "^(running|ready)") == [] and pod.find("never", "^starting") == []
    assert pod.stop() == 0


# ---- restarts ----

def test_the_first_restart_is_immediate_then_the_pauses_grow_and_the_limit_ends_them(pods):
    pod = pods(workers(
        bad={"command": ["sh", "-c", "exit 7"], "restart": {"backoff": {"initial": "20ms", "max": "100ms"},
                                                            "limit": {"count": 5, "window": "10m"}}},
        good={"command": [TREE]}))
    pod.log("bad", "^failed: exited with code 7; 5 restarts within 600 s are its limit")
    told = re.findall(r"starting again (at once|in (\d+) ms)", "\n".join(pod.messages("bad")))
    assert told[0][0] == "at once" and len(told) == 5
    for pause, wanted in zip((int(ms) for _, ms in told[1:]), (20, 40, 80, 100)):
        assert wanted * 0.8 - 1 <= pause <= wanted * 1.2 + 1
    assert len(pod.find("bad", "^starting")) == 6
    assert pod.state("bad") == "failed" and pod.state("good") == "ready"
    assert pod.stop() == 0


@pytest.mark.parametrize("policy, code, restarted", [("always", 0, True), ("always", 3, True), ("on-failure", 0, False),
                                                     ("on-failure", 3, True), ("never", 0, False), ("never", 3, False)])
def test_the_restart_policy_is_kept(pods, policy, code, restarted):
    pod = pods(workers(one={"command": [TREE, f"exit={code}"], "restart": {"policy": policy}}))
    if restarted:
        pod.log("one", "^starting: run 2")
    else:
        pod.log("one", f"^{'failed' if code else 'stopped'}: exited with code {code}, and its restart policy")
        pod.settle()
        assert len(pod.find("one", "^starting")) == 1
    assert pod.stop() == 0


@pytest.mark.parametrize("critical, code", [
    ({"command": ["sh", "-c", "echo last words; exit 7"], "restart": {"limit": {"count": 2}, "backoff": {"initial": "1ms"}}}, 7),
    ({"command": ["sh", "-c", "echo last words; kill -9 $$$$"], "restart": {"policy": "never"}}, 137),
    ({"command": ["sh", "-c", "echo last words; exit 0"], "restart": {"policy": "never"}}, 0),
    ({"command": ["sh", "-c", "echo last words; kill -SEGV $$$$"], "restart": {"limit": {"count": 1}},
      "limits": {"core": "0"}}, 139),
])
def test_a_critical_worker_that_has_ended_for_good_ends_podvisor_with_its_code(pods, critical, code):
    pod = pods(workers(api={**critical, "critical": True}, other=[TREE, "session"]))
    assert pod.wait() == code
    told = pod.termination.read_bytes()
    assert len(told) <= 4096
    assert b"worker api " in told and b"last words" in told
    assert f"code {code}".encode() in told
    if code > 128:
        assert b"SIG" + signal.Signals(code - 128).name[3:].encode() in told
    pod.assert_nothing_left()


def test_the_limit_s_action_ends_podvisor_too(pods):
    pod = pods(workers(api={"command": ["sh", "-c", "exit 9"], "restart": {"backoff": {"initial": "1ms"},
                                                                           "limit": {"count": 2, "action": "exit"}}}))
    assert pod.wait() == 9
    assert b"worker api exited with code 9" in pod.termination.read_bytes()


def test_a_critical_worker_whose_limit_s_action_is_fail_leaves_podvisor_up(pods):
    pod = pods(workers(api={"command": ["false"], "critical": True, "restart": {"backoff": {"initial": "1ms"},
                                                                                "limit": {"count": 1, "action": "fail"}}}))
    pod.log("api", "^failed")
    pod.settle()
    assert pod.state("api") == "failed"
    assert pod.stop() == 0


def test_the_termination_log_stays_within_4096_bytes(pods):
    script = ("i=0; while [ $i -lt 200 ]; do echo \"line $i ünï $(printf %0300d 0)\"; i=$((i+1)); done; "
              "echo the very last >&2; exit 3")
    pod = pods(workers(api={"command": ["sh", "-c", script], "critical": True, "restart": {"policy": "never"}}))
    assert pod.wait() == 3
    told = pod.termination.read_bytes()
    assert 3000 < len(told) <= 4096
    text = told.decode()  # no character is cut
    assert text.startswith("podvisor ended with code 3: worker api ")
    assert "line 199" in text and "the very last" in text
    assert text.endswith("\n")


@root_only
@own_mounts
def test_a_user_of_many_groups_keeps_them_all(pods, tmp_path):
    table = tmp_path / "group"
    table.write_text("root:x:0:\nnogroup:x:65534:\n" + "".join(f"g{i}:x:{70000 + i}:nobody\n" for i in range(200)))
    wrap = ("unshare", "-m", "sh", "-c", f'mount --bind {table} /etc/group && exec "$0" "$@"')
    pod = pods(workers(one={"command": ["id", "-G"], "user": "nobody", "kind": "task"}), wrap=wrap)
    pod.log("one", "^succeeded")
    assert set(map(int, pod.output("one")[0].split())) == {65534, *range(70000, 70200)}
    assert pod.stop() == 0


# ---- workers that cannot start ----

UNSTARTABLE = {
    "no such file": ({"command": ["/nonexistent/program"]}, "cannot execute /nonexistent/program: No such file"),
    "no permission": ({"command": ["/etc/passwd"]}, "cannot execute /etc/passwd: Permission denied"),
    "no directory": ({"command": ["true"], "cwd": "/nonexistent"}, "cannot enter its working directory (/nonexistent): No such file"),
    "no user": ({"command": ["true"], "user": "nobody-of-that-name"}, "nobody-of-that-name"),
    "no group": ({"command": ["true"], "group": "nobody-of-that-name"}, "nobody-of-that-name"),
    "an endless env file": ({"command": ["true"], "env_files": ["/dev/zero"]}, "/dev/zero: not a regular file"),
    "no env file": ({"command": ["true"], "env_files": ["/nonexistent/env"]}, "/nonexistent/env: No such file"),
    "no program": ({"command": ["/"]}, "cannot execute /: "),
}


@pytest.mark.parametrize("what", UNSTARTABLE)
def test_a_worker_that_cannot_start_says_why(pods, what):
    worker, sentence = UNSTARTABLE[what]
    pod = pods(workers(bad={**worker, "restart": {"backoff": {"initial": "1ms"}, "limit": {"count": 2}}}, good=[TREE]))
    pod.ready("good")
    assert sentence in pod.log("bad", "^could not start: ").msg
    assert sentence in pod.log("bad", "^backoff: could not start").msg
    assert sentence in pod.log("bad", "^failed: could not start").msg
    assert sentence in pod.worker("bad")["runs"][0]["text"]
    pod.settle()
    assert any(sentence in message for message in pod.messages("bad", msg="^state: failed")), "its state says it too"
    assert pod.stop() == 0


@root_only
def test_a_user_that_cannot_be_become_is_named(pods):
    """Without the capabilities for it."""
    wrap = ("setpriv", "--inh-caps=-all", "--bounding-set=-all", "--")
    pod = pods(workers(bad={"command": ["true"], "user": "nobody", "restart": {"limit": {"count": 1}}}), wrap=wrap)
    assert re.search(r"cannot (take its groups|become its user) \(nobody\): Operation not permitted", pod.log("bad", "^could not start: ").msg)
    assert pod.stop() == 0


def test_a_hopeless_start_says_so_in_its_state_is_tried_again_and_counts(pods):
    """As Kubernetes' CrashLoopBackOff: a file may be mounted later. As systemd's 203/EXEC: it counts towards the limit."""
    pod = pods(workers(bad={"command": ["./own-late"], "restart": {"backoff": {"initial": "1h", "max": "1h"}, "limit": {"count": 3}}}))
    told = pod.log("bad", "^backoff: .*starting again in").msg
    assert re.fullmatch(r"backoff: could not start: cannot execute ./own-late: No such file or directory; "
                        r"it will not start as configured; starting again in \d+ ms", told)
    worker = pod.worker("bad")
    assert worker["state"] == "backoff" and worker["reason"] == told.removeprefix("backoff: ") and worker["next_start"]
    assert worker["restarts_by_reason"] == {"spawn": 2}
    assert "it will not start as configured" in ask_podvisor("status", pod).stdout
    (pod.path / "own-late").write_text("#!/bin/sh\nexec sleep 1000\n")
    (pod.path / "own-late").chmod(0o755)
    assert ask_podvisor("start", pod, "bad").returncode == 0
    assert pod.worker("bad")["state"] == "ready"
    assert pod.stop() == 0


def ask_podvisor(verb, pod, *words):
    return subprocess.run([PODVISOR, verb, "--socket", str(pod.path / "control.sock"), *words], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=DEADLINE_S, env={**os.environ, "COLUMNS": "400"})


def test_hopeless_starts_come_to_the_limit_as_any_other(pods):
    pod = pods(workers(bad={"command": ["/nonexistent/program"], "restart": {"backoff": {"initial": "1ms"}, "limit": {"count": 1}}}))
    assert pod.log("bad", "^failed: ").msg.endswith("; 1 restart within 600 s is its limit")
    assert pod.worker("bad")["state"] == "failed"
    assert pod.stop() == 0


def test_each_worker_s_runs_are_counted_from_one(pods):
    once = {"command": ["sh", "-c", "[ -e own-seen ] || { touch own-seen; exit 1; }; exec sleep 1000"]}
    pod = pods(workers(first=[TREE], second=once))
    pod.log("second", "^starting: run 2$")
    pod.ready("second"), pod.ready("first")
    assert pod.find("first", "^starting: ")[0].msg == pod.find("second", "^starting: ")[0].msg == "starting: run 1"
    assert pod.worker("first")["run"] == 1 and pod.worker("second")["run"] == 2
    assert [run["run"] for run in pod.worker("second")["runs"]] == [1]
    assert pod.stop() == 0


@pytest.mark.parametrize("command, code", [(["/nonexistent/program"], 127), (["/etc/passwd"], 126)])
def test_a_critical_worker_that_cannot_start_ends_podvisor(pods, command, code):
    pod = pods(workers(api={"command": command, "critical": True, "restart": {"limit": {"count": 1}}}))
    assert pod.wait() == code
    assert command[0].encode() in pod.termination.read_bytes()


# ---- stopping ----

def test_a_stop_goes_from_those_that_depend_to_those_that_are_depended_on(pods):
    trap = ["sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 1000 & wait; done"]
    pod = pods(workers(first={"command": trap}, second={"command": trap, "depends_on": ["first"]},
                       third={"command": trap, "depends_on": ["second"]}, alone={"command": trap}))
    for name in "first", "second", "third", "alone":
        pod.log(name, "^up$", own=False)
    assert pod.stop() == 0
    gone = order(pod, ("third", "^stopping: podvisor"), ("third", "^stopped"), ("second", "^stopping: podvisor"),
                 ("second", "^stopped"), ("first", "^stopping: podvisor"), ("first", "^stopped"))
    assert pod.find("alone", "^stopping", until=gone[1].index), "what nobody waits for stops at once"
    assert all(pod.output(name) == ["up", "bye"] for name in ("first", "second", "third", "alone"))
    assert pod.termination.read_bytes().startswith(b"podvisor ended in order")
    pod.assert_nothing_left()


def test_after_drain_comes_after_on_term(pods):
    with Port() as port:
        listen = f"127.0.0.1:{port.number}"
    pod = pods({**workers(api={"command": [TREE], "stop": {"phase": "after-drain"}}, leased={"command": [TREE]}),
                "gateway": {"listen": listen, "routes": [{"path": "/", "worker": "api", "to": "127.0.0.1:1"}],
                            "drain": {"lame_duck": "50ms"}}})
    pod.ready("api"), pod.ready("leased")
    pod.log(msg="^the gateway listens at")
    assert pod.stop() == 0
    order(pod, (None, "^lame-duck"), ("leased", "^stopping: podvisor"), (None, "^draining"),
          (None, "^stopping: the workers that outlive"), ("api", "^stopping: podvisor"))


def test_a_deaf_worker_is_killed_after_its_timeout_with_everything_it_started(pods):
    pod = pods(workers(deaf={"command": [TREE, "deaf", "group", "session", "daemon"], "stop": {"timeout": "200ms"}},
                       fine=[TREE]))
    pod.log("deaf", "^ready$", own=False)
    assert pod.stop() == 0
    order(pod, ("deaf", "^stopping: podvisor"), ("deaf", "SIGKILL to everything it started: its stop time-out is over"),
          ("deaf", "killed by SIGKILL"), ("deaf", "^stopped"))
    pod.assert_nothing_left()


def test_the_stop_signal_is_the_configured_one(pods):
    script = "trap 'echo quit; exit 0' QUIT; trap '' TERM; echo up; while :; do sleep 1000 & wait; done"
    pod = pods(workers(one={"command": ["sh", "-c", script], "stop": {"signal": "SIGQUIT"}}))
    pod.log("one", "^up$", own=False)
    assert pod.stop() == 0
    assert pod.output("one") == ["up", "quit"]
    assert pod.find("one", "^stopped: exited with code 0")


def test_the_deadline_of_the_whole_stop_beats_a_worker_s_own_timeout(pods):
    pod = pods({**workers(deaf={"command": [TREE, "deaf", "session"], "stop": {"timeout": "1h"}}),
                "shutdown": {"deadline": "2s"}})
    pod.log("deaf", "^ready$", own=False)
    assert pod.stop() == 0
    assert pod.find("deaf", "SIGKILL to everything it started: shutdown.deadline is nearly over$")
    assert not pod.find(msg="signal asked for it")
    assert pod.termination.read_bytes().startswith(b"podvisor ended: shutdown.deadline was nearly over")
    pod.assert_nothing_left()


def test_who_used_up_the_deadline_is_told_in_the_log_and_in_the_last_words(pods):
    """Its code is still that of an ordered stop: what could be ended in time has ended."""
    pod = pods({**workers(base=[TREE], deaf={"command": [TREE, "deaf"], "stop": {"timeout": "1h"}, "depends_on": ["base"]},
                          fine=[TREE]), "shutdown": {"deadline": "3s"}})
    pod.log("deaf", "^ready$", own=False)
    assert pod.stop() == 0
    who = r"worker deaf \(stopping for \d(s|.\d+s), its stop.timeout is 1h\); worker base had to wait"
    assert re.fullmatch("shutdown.deadline was used up by " + who, pod.log(msg="^shutdown.deadline was used up", level="error").msg)
    assert re.search("^shutdown.deadline was used up by " + who + "$", pod.termination.read_text(), re.M)
    pod.assert_nothing_left()


def test_who_ended_podvisor_is_told_also_when_others_had_to_be_killed(pods):
    pod = pods({**workers(api={"command": ["sh", "-c", "while ! test -e fall; do sleep 0.05; done; exit 3"],
                               "critical": True, "restart": {"policy": "never"}},
                          deaf={"command": [TREE, "deaf"], "stop": {"timeout": "1h"}}), "shutdown": {"deadline": "2s"}})
    pod.log("deaf", "^ready$", own=False)
    (pod.path / "fall").touch()
    assert pod.wait() == 3
    first, second, *_ = pod.termination.read_text().splitlines()
    assert first.startswith("podvisor ended with code 3: worker api exited with code 3")
    assert second == "what still ran was killed: shutdown.deadline is nearly over"
    assert "\nshutdown.deadline was used up by worker deaf (stopping for " in pod.termination.read_text()


def test_a_second_signal_skips_the_drain_and_a_third_kills_at_once(pods):
    pod = pods({**workers(deaf={"command": [TREE, "deaf", "session"], "stop": {"timeout": "1h"}}),
                "shutdown": {"deadline": "2h"}})
    pod.log("deaf", "^ready$", own=False)
    pod.kill(signal.SIGTERM)
    pod.log("deaf", "^stopping: podvisor")
    pod.kill(signal.SIGINT)
    pod.log(msg="^a second signal")
    assert pod.ask("GET", "/api/v1/status").json()["drain"]["why"] == "SIGTERM; then a second signal"
    assert not pod.find("deaf", "SIGKILL")
    pod.kill(signal.SIGTERM)
    assert pod.wait() == 0
    assert pod.find(msg="^a third signal: everything that still runs is killed$", level="warn")
    assert pod.find("deaf", "SIGKILL to everything it started: a third signal")
    assert pod.termination.read_bytes().startswith(b"podvisor ended at once: a third signal asked for it")
    pod.assert_nothing_left()


def test_what_comes_too_late_is_not_read_again(pods):
    config = {**workers(deaf={"command": [TREE, "deaf"], "stop": {"timeout": "1h"}}), "shutdown": {"deadline": "2h"}}
    pod = pods(config)
    pod.log("deaf", "^ready$", own=False)
    pod.kill(signal.SIGTERM)
    pod.log("deaf", "^stopping: podvisor")
    says = "podvisor is stopping: the configuration is not read again"
    pod.reload({**config, **workers(other={"command": [TREE]})})
    pod.log(msg=f"^reload refused, the old configuration goes on: {says}$", level="error")
    pod.configure("{ not even read")
    for more in [], ["--dry-run"]:
        done = subprocess.run([PODVISOR, "reload", *more, "--socket", str(pod.path / "control.sock")], capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (1, f"podvisor reload: {says}\n")
    answer = pod.ask("POST", "/api/v1/reload")
    assert answer.status == 409 and answer.json() == {"error": says, "stopping": True}
    assert not pod.find("other")
    pod.kill(signal.SIGTERM)
    pod.kill(signal.SIGINT)  # two of one kind at once are one for the kernel
    assert pod.wait() == 0


def test_a_termination_log_is_made_and_one_that_cannot_be_is_warned_of(pods, tmp_path):
    made = tmp_path / "made"
    pod = pods({**workers(one=[TREE]), "shutdown": {"termination_log": str(made)}})
    pod.log("one", "^ready$", own=False)
    assert pod.stop() == 0 and not pod.find(msg="termination log")
    assert made.read_text() == "podvisor ended in order\n"
    pod = pods({**workers(one=[TREE]), "shutdown": {"termination_log": "/proc/podvisor/last"}})
    pod.log(msg="^no termination log: /proc/podvisor/last cannot be written: its directory is not there$", level="warn")
    pod.log("one", "^ready$", own=False)
    assert pod.stop() == 0
    assert pod.find(msg="^the termination log was not written: /proc/podvisor/last cannot be written: its directory ")


def test_a_reload_to_a_termination_log_that_cannot_be_written_warns_once(pods):
    config = {**workers(one=[TREE]), "shutdown": {"termination_log": "/proc/podvisor/last"}}
    pod = pods(workers(one=[TREE]))
    pod.log("one", "^ready$", own=False)
    pod.reload(config)
    pod.log(msg="^no termination log: /proc/podvisor/last cannot be written", level="warn")
    pod.reload({**config, "log": {"level": "debug"}})
    pod.log(msg="^the configuration was read again$", count=2)
    assert pod.stop() == 0 and len(pod.find(msg="^no termination log")) == 1


def dev_of_its_own(then):
    """In front of podvisor: /dev as a container has it."""
    nodes = "; ".join(f"mknod -m 666 /dev/{name} c 1 {minor}" for name, minor in (("null", 3), ("zero", 5), ("urandom", 9)))
    return ("unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs /dev; mkdir -m 1777 /dev/shm; {nodes}; {then}; exec "$0" "$@"')


@root_only
@own_mounts
def test_the_kubelet_s_termination_log_is_written_in_place_and_also_when_nothing_starts(pods, tmp_path):
    kubelets = tmp_path / "kubelets"
    kubelets.write_text("")
    wrap = dev_of_its_own(f"touch /dev/termination-log; mount --bind {kubelets} /dev/termination-log")
    usual = {"shutdown": {"termination_log": "/dev/termination-log"}}
    pod = pods({**workers(api={"command": ["sh", "-c", "exit 3"], "critical": True, "restart": {"policy": "never"}}), **usual}, wrap=wrap)
    assert pod.wait() == 3 and not pod.find(msg="termination log")
    assert kubelets.read_text().startswith("podvisor ended with code 3: worker api exited with code 3")
    pod = pods({"control": {"socket": "relative"}, **usual}, wrap=wrap)
    assert pod.wait() == 78
    assert kubelets.read_text().startswith(f"podvisor never started: {pod.file}:")
    assert "control.socket" in kubelets.read_text()


@root_only
@own_mounts
@pytest.mark.parametrize("host, level, says", [
    (None, "info", "/dev/termination-log is made by Kubernetes alone"),
    ("10.0.0.1", "warn", "/dev/termination-log is not there .*terminationMessagePath")])
def test_a_default_that_nobody_made_is_told_by_where_podvisor_runs(pods, host, level, says):
    env = {"KUBERNETES_SERVICE_HOST": host} if host else {}
    pod = pods({**workers(one=["ls", "/dev"]), "shutdown": {"termination_log": "/dev/termination-log"}},
               wrap=dev_of_its_own("unset KUBERNETES_SERVICE_HOST" if not host else ":"), env=env)
    pod.log(msg=f"^no termination log: {says}", level=level)
    pod.log("one", "^null$", own=False)
    assert pod.stop() == 0
    assert not pod.find("one", "termination-log", own=False) and not pod.find(msg="was not written")


@pytest.mark.parametrize("config, host, name", [
    ({}, None, socket.gethostname()),
    ({}, "other", socket.gethostname()),
    ({"instance": "${HOSTNAME}"}, None, socket.gethostname()),  # shells do not export it
    ({"instance": "${HOSTNAME}"}, "pod-7", "pod-7"),
    ({"instance": "blue"}, None, "blue")])
def test_the_instance_is_the_host_s_name_unless_it_is_named(pods, config, host, name):
    wrap = ("env", f"HOSTNAME={host}") if host else ("env", "-u", "HOSTNAME")
    pod = pods({**workers(one=[TREE]), **config}, wrap=wrap)
    pod.log("one", "^ready$", own=False)
    assert pod.ask("GET", "/api/v1/status").json()["instance"] == name
    pod.reload({**workers(one=[TREE]), **config})
    pod.log(msg="^the configuration was read again$")
    assert pod.stop() == 0


def test_a_configuration_from_a_pipe_is_read_once(pods):
    pod = pods(workers(one=[TREE]), wrap=("bash", "-c", 'exec "$0" run -c - < <(cat podvisor.json)'))
    pod.log("one", "^ready$", own=False)
    pod.kill(signal.SIGHUP)
    pod.log(msg="^reload refused, the old configuration goes on: /dev/stdin: a pipe ", level="error")
    assert pod.stop() == 0


def test_what_hinders_the_start_is_no_defect(pods, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("kept")
    with Port() as port, socket.create_server(("127.0.0.1", port.number)):
        taken = f"127.0.0.1:{port.number}"
        for control, says in (
                ({"listen": taken}, f"control.listen: cannot listen at {taken}: Address already in use (stop what listens there, "),
                ({"listen": "192.0.2.1:9400"}, "control.listen: cannot listen at 192.0.2.1:9400: Cannot assign requested address ("),
                ({"socket": str(precious)}, f"control.socket: cannot listen at unix:{precious}: what is there is no socket")):
            pod = pods({**workers(one=[TREE]), "control": control})
            assert pod.wait() == 78
            assert says in pod.tail() and not pod.find("one")
            assert pod.termination.read_text().startswith(f"podvisor never started: {says}")
    assert precious.read_text() == "kept"


def test_a_gateway_address_that_is_taken_is_tried_again_and_the_pod_is_not_ready_meanwhile(pods):
    """As after a rolling update on one host: the one before still drains there."""
    with Port() as port, socket.create_server(("127.0.0.1", port.number)) as other:
        taken = f"127.0.0.1:{port.number}"
        pod = pods({**workers(one=[TREE]), "gateway": {"listen": taken, "routes": [{"path": "/", "to": "127.0.0.1:1"}],
                                                       "drain": {"lame_duck": "0s"}}})
        pod.log(msg=f"^the gateway cannot listen at {taken}: Address already in use \\(stop what listens there, .*; tried again later$",
                level="error")
        pod.log("one", "^ready$", own=False)
        ready = pod.ask("GET", "/readyz")
        assert ready.status == 503 and "gateway" in ready.text
        assert pod.ask("GET", "/livez").status == 200
        other.close()
        port.bad()
        pod.log(msg=f"^the gateway listens at {taken}$")
    assert pod.ask("GET", "/readyz").status == 200
    assert pod.stop() == 0


# ---- the control socket ----

AGAIN = "^the control socket .* was taken away and is there again$"
GONE = "^the control socket .* was taken away, and the commands find nobody; it is tried again and again: "
UNWATCHED = "^the control socket .* cannot be watched, and is looked at every few seconds: "


def watched(pod):
    """The inodes that podvisor has the kernel watch (inotify(7))."""
    found = set()
    for fd in os.listdir(f"/proc/{pod.process.pid}/fd"):
        if os.readlink(f"/proc/{pod.process.pid}/fd/{fd}") == "anon_inode:inotify":
            with open(f"/proc/{pod.process.pid}/fdinfo/{fd}") as info:
                found |= {int(number, 16) for number in re.findall(r"ino:([0-9a-f]+)", info.read())}
    return found


def socket_is_watched(pod, path):
    await_true("the kernel watches the socket", lambda: path.stat().st_ino in watched(pod))


def answers(path):
    return subprocess.run([PODVISOR, "probe", "live", "--socket", str(path)], capture_output=True).returncode == 0


@pytest.mark.parametrize("unheard", (False, True), ids=("heard of", "looked at"))
def test_a_control_socket_that_somebody_removes_is_there_again(pods, tmp_path, unheard):
    """Whether the kernel tells of it, or cannot: whose inotify instances are used up gets EMFILE."""
    place = tmp_path / "own" / "podvisor"
    path = place / "control.sock"
    place.parent.mkdir()
    env = {"LD_PRELOAD": str(FIXTURES / "faults.so"), "FAULTS": f"inotify_init1:1:{errno.EMFILE}:program:1000000",
           "FAULTS_TOLD": str(tmp_path / "told")} if unheard else {}
    pod = pods({**workers(one=[TREE]), "control": {"socket": str(path)}}, env=env)
    pod.ready("one")
    await_true("it answers", lambda: answers(path))
    for times, remove in enumerate((lambda: os.unlink(path), lambda: shutil.rmtree(place)), 1):
        if not unheard:
            socket_is_watched(pod, path)
        remove()
        pod.log(msg=AGAIN, level="warn", count=times)
        assert answers(path) and path.stat().st_mode & 0o777 == 0o600
    # and where not even the directory can be made, it is awaited
    shutil.rmtree(place.parent)
    pod.log(msg=GONE, level="error")
    place.parent.mkdir()
    pod.log(msg=AGAIN, count=3)
    assert answers(path) and len(pod.find(msg=GONE)) == 1
    assert len(pod.find(msg=UNWATCHED, level="info")) == unheard
    assert pod.stop() == 0
    assert not path.exists()


def test_a_control_socket_whose_way_leads_elsewhere_is_there_again(pods, tmp_path):
    real, link = tmp_path / "real", tmp_path / "link"
    path = link / "podvisor" / "control.sock"
    (real / "podvisor").mkdir(parents=True)
    link.symlink_to(real)
    pod = pods({**workers(one=[TREE]), "control": {"socket": str(path)}})
    pod.ready("one")
    socket_is_watched(pod, path)
    # another one in its place
    (tmp_path / "other").touch()
    os.rename(tmp_path / "other", path)
    pod.log(msg=GONE, level="error")
    os.unlink(path)
    pod.log(msg=AGAIN)
    # its directory has another name, then a directory above
    for times, (old, new) in enumerate(((real / "podvisor", real / "moved"), (real, tmp_path / "moved")), 2):
        socket_is_watched(pod, path)
        os.rename(old, new)
        if old == real:
            pod.log(msg=GONE, count=2)
            os.rename(new, old)
        pod.log(msg=AGAIN, count=times)
        assert answers(path)
    # the link leads elsewhere
    socket_is_watched(pod, path)
    (tmp_path / "another").mkdir()
    (tmp_path / "new").symlink_to(tmp_path / "another")
    os.rename(tmp_path / "new", link)
    pod.log(msg=AGAIN, count=4)
    assert answers(path) and (tmp_path / "another/podvisor/control.sock").exists()
    assert not pod.find(msg=UNWATCHED)
    assert pod.stop() == 0


@root_only
@own_mounts
def test_without_any_place_for_the_socket_what_comes_over_tcp_goes_on(pods):
    spoil = "; ".join(f"mkdir -p {dir}/podvisor-0; mount -t tmpfs -o mode=0777 tmpfs {dir}/podvisor-0" for dir in ("/dev/shm", "/tmp"))
    wrap = ("unshare", "-m", "sh", "-c", f'{spoil}; unset XDG_RUNTIME_DIR; exec "$0" "$@"')
    says = "control.socket: no directory for it can be written: /proc/nothing/control.sock, "
    with Port() as port:
        control = {"listen": f"127.0.0.1:{port.number}", "socket": "/proc/nothing/control.sock"}
        pod = pods({**workers(one=[TREE]), "control": control}, wrap=wrap)
        pod.log(msg=f"^the commands of podvisor find no socket, and exec probes fail: {says}", level="warn")
        pod.log("one", "^ready$", own=False)
        assert exchange(http.client.HTTPConnection("127.0.0.1", port.number, DEADLINE_S), "GET", "/livez").status == 200
        assert pod.stop() == 0
    pod = pods({**workers(one=[TREE]), "control": {**control, "listen": "none"}}, wrap=wrap)
    assert pod.wait() == 78
    assert says in pod.tail() and not pod.find("one")


def test_two_of_them_do_not_share_a_socket(pods):
    first = pods(workers(one=[TREE]))
    first.log("one", "^ready$", own=False)
    socket_path = str(first.path / "control.sock")
    second = pods({**workers(two=[TREE]), "control": {"socket": socket_path}})
    assert second.wait() == 78
    assert f"control.socket: another podvisor answers at {socket_path} (stop it, or choose another path)" in second.tail()
    assert first.ask("GET", "/livez").status == 200
    assert first.stop() == 0


def test_a_stop_while_workers_start_wait_and_back_off_is_clean(pods):
    pod = pods(workers(
        starting={"command": [TREE], "startup": {"exec": ["false"], "interval": "1h", "failure_threshold": 1000}},
        waiting={"command": [TREE], "depends_on": ["starting"]},
        backing={"command": ["false"], "restart": {"backoff": {"initial": "1h", "max": "1h"}}}))
    pod.log("starting", "^starting")
    pod.log("backing", "starting again in [1-9]")
    assert pod.stop() == 0
    assert pod.find("waiting", "^starting") == []
    pod.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_ordered_stop_leaves_nothing(pods, number):
    pod = pods(workers(one=[TREE, "group", "session", "daemon", "stopped", "titled", "chain=4"], two=[TREE, "comet"]))
    pod.log("one", "^ready$", own=False)
    pod.log("two", "^ready$", own=False)
    pod.kill(number)
    assert pod.wait() == 0
    pod.assert_nothing_left()


# ---- nothing is left of a generation ----

FAMILY = [TREE, "group", "session", "daemon", "stopped", "chain=3"]


def family(pod, after=-1):
    """Awaits the family of this run; its main process and everybody, as identities."""
    pid = pod.ready("family", after=after)
    pod.log("family", "^ready$", after, own=False)
    everybody = pod.tree_of("family")
    assert len(everybody) >= 8, "shim, main, child, session, daemon, stopped daemon, chain of three"
    return pid, everybody


@pytest.fixture
def family_pod(pods):
    return pods(workers(family={"command": FAMILY, "env": {"GENERATION": "1"}}, bystander=[TREE, "session"]))


def test_nothing_is_left_after_a_restart(family_pod):
    pod = family_pod
    bystander = pod.ready("bystander")
    _, old = family(pod)
    seen = len(pod.lines) - 1
    pod.reload(workers(family={"command": FAMILY, "env": {"GENERATION": "2"}}, bystander=[TREE, "session"]))
    family(pod, after=seen)
    assert alive(old) == []
    assert fields_of(bystander), "the bystander is untouched"
    assert len(pod.find("bystander", "^starting")) == 1
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_nothing_is_left_after_the_worker_was_killed(family_pod):
    pod = family_pod
    for _ in range(3):
        pid, old = family(pod, after=len(pod.lines) - 1 if _ else -1)
        seen = len(pod.lines) - 1
        os.kill(pid, signal.SIGKILL)
        pod.log("family", "^starting", seen)
        assert alive(old) == []
        break
    assert pod.find("family", "^backoff: killed by SIGKILL; starting again at once")
    family(pod, after=seen)
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_nothing_is_left_after_its_shim_was_killed(family_pod):
    pod = family_pod
    pid, old = family(pod)
    seen = len(pod.lines) - 1
    os.kill(pod.shim_of(pid), signal.SIGKILL)
    pod.log("family", "^starting", seen)
    assert alive(old) == []
    assert pod.find("family", "^backoff: killed by SIGKILL")
    family(pod, after=seen)
    assert len(pod.find("bystander", "^starting")) == 1
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_nothing_is_left_after_its_shim_was_killed_while_it_stopped(pods):
    pod = pods(workers(family={"command": [*FAMILY, "deaf"], "stop": {"timeout": "1h"}}))
    pid, old = family(pod)
    pod.kill()
    pod.log("family", "^stopping: podvisor")
    os.kill(pod.shim_of(pid), signal.SIGKILL)
    assert pod.wait() == 0
    assert alive(old) == []
    pod.assert_nothing_left()


def test_a_stopped_shim_does_not_keep_podvisor_from_ending(pods):
    pod = pods(workers(family={"command": FAMILY, "stop": {"timeout": "200ms"}}))
    pid, old = family(pod)
    os.kill(pod.shim_of(pid), signal.SIGSTOP)
    assert pod.stop() == 0
    assert alive(old) == []
    pod.assert_nothing_left()


def test_nothing_is_left_after_podvisor_was_killed(family_pod):
    pod = family_pod
    family(pod)
    assert len(pod.marked()) >= 10
    pod.kill(signal.SIGKILL)
    assert pod.wait() == 128 + signal.SIGKILL
    await_true("the end of every worker", lambda: not pod.marked())


def test_nothing_is_left_after_podvisor_was_killed_while_it_stopped(pods):
    pod = pods(workers(family={"command": [*FAMILY, "deaf"], "stop": {"timeout": "1h"}}))
    family(pod)
    pod.kill()
    pod.log("family", "^stopping: podvisor")
    pod.kill(signal.SIGKILL)
    pod.wait()
    await_true("the end of every worker", lambda: not pod.marked())


def test_after_podvisor_was_killed_the_next_one_starts_in_the_same_place(pods):
    pod = pods(workers(one=[TREE]))
    pod.ready("one")
    pod.kill(signal.SIGKILL)
    pod.wait()
    again = pods(workers(one=[TREE]), env={"XDG_RUNTIME_DIR": str(pod.path)})
    again.ready("one")
    assert again.stop() == 0


# ---- many at once ----

def test_two_thousand_workers_that_end_at_once_are_all_accounted_for(pods, gate):
    pod = end_many_at_once(pods, gate)
    await_true("no zombie", lambda: not zombies_of(pod.pid))
    assert pod.state("one") == "ready"
    await_true("one worker and its shim alone", lambda: len(pod.marked()) == 2)
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_two_thousand_orphans_of_a_worker_are_reaped_by_its_shim(pods):
    pod = pods(workers(one=[TREE, f"orphans={MANY}"]))
    pid = pod.ready("one")
    pod.log("one", "^ready$", own=False, seconds=4 * DEADLINE_S)
    await_true("all are reaped", lambda: len(pod.marked()) == 2 and not zombies_of(pod.shim_of(pid)))
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_two_thousand_orphans_of_podvisor_s_own_are_reaped_while_workers_run(pods, gate):
    """Children that it did not start: left by what ran before it was executed, or adopted as a subreaper."""
    pod = pods(workers(one=[TREE], two={"command": [GATE, gate.path], "kind": "task"}), wrap=(GATE, gate.path, str(MANY)))
    pod.ready("one")
    pod.log("two", "^running: pid")
    assert len(pod.marked()) >= MANY
    gate.open()
    pod.log("two", "^succeeded")
    await_true("all are reaped", lambda: len(pod.marked()) == 2 and not zombies_of(pod.pid))
    assert pod.state("one") == "ready"
    assert pod.stop() == 0
    pod.assert_nothing_left()


# ---- how a worker is born ----

@not_under_valgrind("the masks that /proc shows are its own")
def test_no_thread_of_podvisor_s_takes_a_signal_from_its_loop(pods):
    """A thread with SIGCHLD unblocked would take it away from where it is read, and an exit would be lost."""
    pod = pods(workers(one=[TREE]))
    pod.ready("one")
    masks = {path.parent.name: int(re.search(r"SigBlk:\s+(\w+)", path.read_text())[1], 16)
             for path in pathlib.Path(f"/proc/{pod.pid}/task").glob("*/status")}
    main = masks.pop(str(pod.pid))
    child, stop = 1 << signal.SIGCHLD - 1, 1 << signal.SIGTERM - 1
    assert main & child and not main & stop
    assert masks and all(mask & child and mask & stop for mask in masks.values()), masks
    assert pod.stop() == 0


def test_no_descriptor_but_stdio_reaches_a_worker(pods):
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(5)]
    pod = pods(workers(one={"command": ["ls", "/proc/self/fd"], "kind": "task"},
                       two={"command": ["sh", "-c", "ls /proc/$$$$/fd; :"], "kind": "task", "depends_on": ["one"]}),
               options={"pass_fds": fds})
    pod.log("two", "^succeeded")
    for fd in fds:
        os.close(fd)
    assert pod.output("one") == ["0", "1", "2", "3"], "3 is ls's own view of the directory"
    assert pod.output("two")[:3] == ["0", "1", "2"] and len(pod.output("two")) == 3
    assert pod.stop() == 0


def test_its_environment_directory_and_umask_are_the_configured_ones(pods, tmp_path):
    file = tmp_path / "env"
    file.write_text("# a comment\nFROM_FILE=file\nBOTH=file\nQUOTED=\"a b\"\n")
    script = 'echo "$FROM_FILE|$BOTH|$QUOTED|$INHERITED|$EMPTY|$PWD|$(umask)"'
    pod = pods(workers(one={"command": ["sh", "-c", script], "kind": "task", "cwd": str(tmp_path), "umask": "027",
                            "env": {"BOTH": "env", "EMPTY": ""}, "env_files": [str(file)]}), env={"INHERITED": "yes"})
    pod.log("one", "^succeeded")
    assert pod.output("one") == [f"file|env|a b|yes||{tmp_path}|0027"]
    assert pod.stop() == 0


def test_its_stdout_is_a_pipe_that_can_be_opened_again(pods):
    """Servers log to /dev/stdout, which on a socket fails."""
    pod = pods(workers(one={"command": ["sh", "-c", "echo out > /dev/stdout; echo err > /dev/stderr; cat"], "kind": "task"}))
    pod.log("one", "^succeeded")
    assert (pod.output("one"), pod.output("one", "stderr")) == (["out"], ["err"])
    assert pod.stop() == 0


@root_only
def test_it_runs_as_the_configured_user_and_the_family_dies_all_the_same(pods):
    nobody = pwd.getpwnam("nobody")
    script = f"id -u; id -g; exec {TREE} session daemon"
    with_access = os.access(TREE, os.X_OK)
    assert with_access
    pod = pods(workers(one={"command": ["sh", "-c", script], "user": "nobody"}), open_to_all=True)
    pid = pod.ready("one")
    pod.log("one", "^ready$", own=False)
    assert pod.output("one")[:2] == [str(nobody.pw_uid), str(nobody.pw_gid)]
    assert os.stat(f"/proc/{pid}").st_uid == nobody.pw_uid
    pod.kill(signal.SIGKILL)
    pod.wait()
    await_true("the end of every worker", lambda: not pod.marked())


# ---- dependencies that are lost ----

@pytest.mark.parametrize("loss, state", [("keep", "ready"), ("pause", "paused")])
def test_what_happens_when_a_dependency_is_lost(pods, tmp_path, loss, state):
    flag = tmp_path / "flag"
    flag.touch()
    pod = pods(workers(api={"command": [TREE], "readiness": {"file": str(flag), **SOON, "failure_threshold": 1}},
                       user={"command": [TREE, "session"], "depends_on": ["api"], "on_dependency_loss": loss}))
    pod.ready("user")
    flag.unlink()
    lost = pod.log("api", "^running: not ready")
    if loss == "pause":
        pod.log("user", "^paused", lost)
    pod.settle()
    assert pod.state("user") == state
    seen = len(pod.lines) - 1
    flag.touch()
    pod.ready("api", after=seen)
    if loss == "pause":
        pod.ready("user", after=seen)
    assert len(pod.find("user", "^starting")) == (2 if loss == "pause" else 1)
    assert pod.stop() == 0


# ---- a restricted pod ----

RESTRICTED = ("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--inh-caps=-all", "--no-new-privs")


@root_only
@pytest.mark.parametrize("runtime_dir", [True, False])
def test_it_runs_in_a_restricted_pod(pods, tmp_path_factory, runtime_dir):
    """Any uid, no capabilities, no_new_privs, /run not writable: the socket falls back, the workers run."""
    env = {"XDG_RUNTIME_DIR": ""}
    place = pathlib.Path("/dev/shm") / f"podvisor-e2e-{os.getpid()}"
    closed = pathlib.Path("/run") / f"podvisor-e2e-{os.getpid()}"  # whatever /run itself allows
    closed.mkdir(mode=0o755)
    if runtime_dir:
        place.mkdir(mode=0o700)
        os.chown(place, 12345, 12345)
        env = {"XDG_RUNTIME_DIR": str(place)}
    try:
        config = {**workers(family={"command": FAMILY, "restart": {"limit": {"count": 64}}}),
                  "control": {"listen": "none", "socket": str(closed / "podvisor/control.sock")}}
        pod = pods(config, wrap=RESTRICTED, env=env, own_control=False, open_to_all=True)
        told = pod.log(msg=f"^{closed}/podvisor/control.sock cannot be written; the control socket is ").msg
        where = told.rpartition(" ")[2]
        assert where == (f"{place}/podvisor/control.sock" if runtime_dir else "/dev/shm/podvisor-12345/control.sock")
        pid, old = family(pod)
        assert os.stat(f"/proc/{pid}").st_uid == 12345
        seen = len(pod.lines) - 1
        os.kill(pid, signal.SIGKILL)
        pod.log("family", "^starting", seen)
        assert alive(old) == []
        family(pod, after=seen)
        assert pod.stop() == 0
        assert pod.marked() == []
        assert not os.path.exists(where)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        closed.rmdir()


def test_a_second_podvisor_leaves_the_last_words_of_the_one_that_lives(pods, tmp_path):
    last = tmp_path / "last"
    last.write_text("nothing yet\n")
    config = {**workers(one=[TREE]), "shutdown": {"termination_log": str(last)}}
    living = pods(config)
    living.log("one", "^ready$", own=False)
    second = pods({**config, "control": {"socket": str(living.path / "control.sock")}})
    assert second.wait() == 78 and "another podvisor answers at" in second.tail()
    assert last.read_text() == "nothing yet\n"
    assert living.stop() == 0
    assert last.read_text() == "podvisor ended in order\n"


def test_what_is_secret_stands_in_no_sentence(pods, tmp_path):
    value, other = "TOPSECRETvalue", "OTHERsecret"
    (tmp_path / "secret").write_text(other + "\n")
    file = f"${{file:{tmp_path}/secret}}"
    pod = pods({**workers(
        command={"command": [f"/nowhere/{file}"]},
        user={"command": [TREE], "user": "${MY_TOKEN}"},
        executed={"command": [TREE], "readiness": {"exec": ["/nowhere/${MY_TOKEN}"], "interval": "100ms"}},
        printed={"command": [TREE], "readiness": {"exec": ["sh", "-c", "echo it is ${MY_TOKEN}; exit 1"], "interval": "100ms"}},
        connected={"command": [TREE], "readiness": {"tcp": "${MY_TOKEN}:80", "interval": "100ms"}},
        looked={"command": [TREE], "readiness": {"file": f"/{file}", "interval": "100ms"}},
        stopped={"command": [TREE], "stop": {"command": ["sh", "-c", "echo ${MY_TOKEN} >&2; exit 3"]}})},
        env={"MY_TOKEN": value})
    pod.log("command", r"^could not start: cannot execute /nowhere/\*\*\*")
    pod.log("user", r"there is no user \"\*\*\*\"")
    for name in "executed", "printed", "connected", "looked":
        await_true(f"{name} has failed its check", lambda: pod.worker(name)["checks"][0]["misses"])
    pod.log("stopped", "^ready$", own=False)
    seen = [pod.ask("GET", target).text for target in ("/api/v1/status", "/api/v1/events", "/metrics", "/readyz?verbose")]
    assert pod.stop() == 0
    own = [line.msg for line in pod.find()]  # what its stop command prints itself is the worker's business
    for text in (*seen, *own, pod.termination.read_text()):
        assert value not in text and other not in text, text
        assert "OPSECRETval" not in text


def test_a_shim_that_its_worker_has_stopped_still_ends_with_podvisor(pods):
    """It is woken by podvisor's requests, and by its death."""
    script = "trap '' TERM HUP; kill -STOP $PPID; echo stopped; while :; do sleep 1000; done"
    pod = pods(workers(one={"command": ["sh", "-c", script], "stop": {"timeout": "300ms"}}))
    pod.log("one", "^stopped$", own=False)
    assert pod.stop() == 0
    pod.assert_nothing_left()
    pod = pods(workers(one=["sh", "-c", script]))
    pod.log("one", "^stopped$", own=False)
    assert len(pod.marked()) >= 2
    pod.kill(signal.SIGKILL)
    pod.process.wait()
    await_true("nothing of it is left", lambda: not pod.marked())


def test_a_reload_says_what_becomes_of_a_worker_that_had_failed(pods):
    failing = {"command": ["sh", "-c", "exit 3"], "restart": {"limit": {"count": 1}, "backoff": {"initial": "1ms"}}}
    pod = pods(workers(one=failing, two=[TREE]))
    failed = pod.log("one", "^failed: ")
    pod.reload(workers(one={**failing, "env": {"V": "1"}}, two=[TREE]))
    pod.log(msg=r"^~ worker one: .*env.*; starts again$", after=failed.index)
    pod.log("one", "^starting: run", after=failed.index)
    assert pod.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
def test_a_terminal_s_stop_signals_do_not_stop_the_supervisor(pods, number):
    """A podvisor that is stopped would restart nobody and answer no probe."""
    pod = pods(workers(one=[TREE]))
    pid = pod.ready("one")
    pod.kill(number)
    if number == signal.SIGTSTP:
        pod.log(msg="^SIGTSTP means nothing to podvisor", level="warn")
    pod.settle()
    os.kill(pid, signal.SIGKILL)
    assert pod.ready("one", after=pod.log("one", "killed by SIGKILL")) != pid
    assert pod.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGPWR, signal.SIGALRM, signal.SIGXCPU, signal.SIGRTMIN + 6])
def test_a_signal_that_means_nothing_ends_nothing(pods, number):
    pod = pods(workers(one=[TREE]))
    pid = pod.ready("one")
    pod.kill(number)
    pod.log(msg="means nothing to podvisor", level="warn")
    assert pod.worker("one")["pid"] == pid
    assert pod.stop() == 0
