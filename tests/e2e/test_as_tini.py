"""What tini promises, held against podvisor: the cases of its own suite (test/run_inner_tests.py), told anew.
docs/conformance.md has the table."""
import concurrent.futures
import os
import signal

import pytest

from podvisor import UNDER_VALGRIND, not_under_valgrind
from supervised import (DEADLINE_S, TELLS_SIGNALS, TREE, await_true, built, children_of, fields_of, pods, run, run_both, workers,
                        zombies_of)

pytestmark = built

# What tells of a defect in the process itself is not passed on; the rest of 1..31 that can be caught is.
FAULTS = {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS}
STOPPING = {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
# A write of its own may cause SIGPIPE.
FORWARDED = sorted(set(range(1, 32)) - FAULTS - STOPPING - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGPIPE})
REAL_TIME = range(signal.SIGRTMIN, signal.SIGRTMAX + 1)
# Valgrind wakes its threads by this one: sent from outside, it makes epoll_wait return events that nobody has written.
VALGRINDS_OWN = {signal.SIGRTMAX} if UNDER_VALGRIND else set()
# By these a process ends that has no handler for them.
DEADLY = sorted(set(range(1, 32)) - STOPPING - {signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH})


# ---- exit codes ----

@not_under_valgrind("512 starts of podvisor, all alike; the codes that follow are not")
def test_each_of_the_256_exit_codes_is_passed_on(run_both):
    def end_with(code):
        return run_both("sh", "-c", f"exit {code}").result()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        wrong = {code: result for code, result in enumerate(pool.map(end_with, range(256))) if result != (code, b"", b"")}
    assert wrong == {}


def test_each_of_the_256_exit_codes_of_a_worker_is_told(pods):
    pod = pods(workers(**{f"w{code}": {"command": ["sh", "-c", f"exit {code}"], "restart": {"policy": "never"}}
                          for code in range(256)}))
    pod.log(msg=r"^(failed|stopped): exited", count=256)
    told = {line["worker"]: line.msg for line in pod.find(msg=r"^(failed|stopped): exited")}
    wrong = {code: told.get(f"w{code}") for code in range(256) if f"exited with code {code}," not in told.get(f"w{code}", "")}
    assert wrong == {}
    assert pod.stop() == 0


@pytest.mark.parametrize("code", [1, 2, 126, 127, 128, 255])
def test_a_critical_worker_s_code_is_podvisor_s(pods, code):
    pod = pods(workers(api={"command": [TREE, f"exit={code}"], "critical": True, "restart": {"policy": "never"}}))
    assert pod.wait() == code


@pytest.mark.parametrize("number", [*DEADLY, *REAL_TIME])
def test_death_by_any_signal_gives_128_and_its_number(run, number):
    assert run("sh", "-c", f"ulimit -c 0; exec {TREE} signal={number}").result() == (128 + number, b"ready\n", b"")


# ---- reaping ----

LEAVES_A_HUNDRED = ("import os, random, time\n"
                    "for i in range(100):\n"
                    "    if os.fork() == 0:\n"
                    "        if os.fork() == 0: time.sleep(random.random() / 2)\n"
                    "        os._exit(0)\n"
                    "    os.wait()\n"
                    "print('left', flush=True)\n"
                    "input()\n")


def test_a_hundred_orphans_end_one_by_one_and_none_stays_a_zombie(run_both):
    command = run_both("/usr/bin/python3", "-c", LEAVES_A_HUNDRED, stdin=-1)
    assert command.line() == "left"
    shim = children_of(command.pid)[0]
    await_true("only the command is left", lambda: len(children_of(shim)) == 1)
    assert not zombies_of(shim) and children_of(command.pid) == [shim]
    assert command.result(b"\n") == (0, b"", b"")


def test_orphans_of_a_worker_stay_in_its_tree_and_are_reaped(pods):
    pod = pods(workers(one=["/usr/bin/python3", "-c", LEAVES_A_HUNDRED.replace("input()", "time.sleep(1000)")]))
    pid = pod.ready("one")
    pod.log("one", "^left$", own=False)
    shim = pod.shim_of(pid)
    await_true("only the worker is left", lambda: children_of(shim) == [pid])
    assert children_of(pod.pid) == [shim]
    assert pod.stop() == 0


# ---- signals ----

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_ends_a_command_that_waits_for_its_child(run_both, number):
    command = run_both("sh", "-c", "echo ready; sleep 1000; :")
    assert command.line() == "ready"
    command.kill(number)
    code, out, err = command.result()
    assert (code, out) == (128 + number, b"")
    assert err == b"" or b"1 process that it left behind had to be killed" in err, "none before the shell has started it"
    assert command.left() == []


def test_every_signal_that_can_be_passed_on_is(run_both):
    command = run_both(*TELLS_SIGNALS)
    assert command.line() == "ready"
    for number in sorted({*FORWARDED, *REAL_TIME} - VALGRINDS_OWN):
        command.kill(number)
        assert command.line() == str(number)


def test_a_signal_goes_to_the_command_alone_and_its_end_ends_the_others(run_both):
    """As without tini's -g; what tini leaves behind is gone here."""
    child = "trap 'echo the child' USR1; echo up; while :; do sleep 1000 & wait; done"
    command = run_both("sh", "-c", f'trap "echo the command; exit 3" USR1; (exec sh -c "{child}") & wait; wait')
    assert command.line() == "up"
    command.kill(signal.SIGUSR1)
    assert command.result()[:2] == (3, b"the command\n")
    assert command.left() == []


@not_under_valgrind("it swallows these signals when another process sends them")
@pytest.mark.parametrize("number", sorted(FAULTS))
def test_a_fault_of_podvisor_s_own_is_not_passed_on(run, number):
    """It ends podvisor, and with it the command."""
    options = os.environ.get("ASAN_OPTIONS", "") + ":handle_segv=0:handle_sigbus=0:handle_sigfpe=0"  # or they end in a report
    command = run("sh", "-c", "echo ready; sleep 1000; :", preexec_fn=no_core, env={"ASAN_OPTIONS": options.lstrip(":")})
    assert command.line() == "ready"
    command.kill(number)
    assert command.process.wait(DEADLINE_S) == -number
    await_true("the end of all", lambda: not command.left())


def no_core():
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# ---- what it was started with ----

INHERITS = """
import os, signal, sys
for number in signal.SIGTTOU, signal.SIGSEGV, signal.SIGINT, signal.SIGCHLD, signal.SIGTERM:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""


def test_what_was_ignored_and_blocked_before_it_does_not_make_it_deaf(run_both):
    """Where tini hands both on to the command, podvisor gives it what SPEC promises: defaults and an empty mask."""
    command = run_both("sh", "-c", "grep -E '^Sig(Blk|Ign)' /proc/self/status; echo ready; exec sleep 1000",
                       wrap=("/usr/bin/python3", "-c", INHERITS))
    assert [command.line().split() for _ in range(2)] == [["SigBlk:", "0" * 16], ["SigIgn:", "0" * 16]]
    assert command.line() == "ready"
    command.kill(signal.SIGTERM)
    assert command.result() == (128 + signal.SIGTERM, b"", b"")


def test_what_was_ignored_and_blocked_before_it_does_not_make_it_deaf_with_a_configuration(pods):
    pod = pods(workers(one=[TREE, "session"], two=["false"]), wrap=("/usr/bin/python3", "-c", INHERITS))
    pod.ready("one")
    pod.log("two", "^backoff: exited with code 1")  # SIGCHLD arrives
    pod.settle()
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_a_signal_that_was_sent_before_it_could_listen_is_not_lost(run_both):
    """As PID 1 nobody would send it again before the grace period is over."""
    early = ("import os, signal, sys\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
             "os.kill(os.getpid(), signal.SIGTERM)\nos.execv(sys.argv[1], sys.argv[1:])\n")
    command = run_both("sleep", "1000", wrap=("/usr/bin/python3", "-c", early))
    assert command.result() == (128 + signal.SIGTERM, b"", b"")


# ---- who dies with whom ----

def test_podvisor_goes_on_when_its_parent_dies(run_both):
    """tini -p is an option, off by default; podvisor has none such. Under PID 1 there is no parent to die."""
    script = ("import os, signal, subprocess, sys\nos.setsid()\nchild = subprocess.Popen(sys.argv[1:])\n"
              "print(child.pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n")
    command = run_both("sh", "-c", "sleep 1000; :", wrap=("/usr/bin/python3", "-c", script))
    line = command.line()
    if command.pid != command.process.pid:  # it was PID 1 that died, and the kernel took the rest
        await_true("the end of all", lambda: not command.left())
        return
    pid = int(line)
    assert command.process.wait() == -signal.SIGKILL
    await_true("its command runs", lambda: [fields_of(child) for shim in children_of(pid) for child in children_of(shim)])
    os.kill(pid, signal.SIGTERM)
    await_true("the end of all", lambda: not command.left())  # whoever has adopted podvisor itself reaps it when he likes


def test_nothing_outlives_podvisor(run_both):
    command = run_both(TREE, "group", "session", "daemon", "deaf", "chain=3")
    assert command.line() == "ready"
    assert len(command.left()) >= 7
    command.kill(signal.SIGKILL)
    await_true("the end of all", lambda: not command.left())
