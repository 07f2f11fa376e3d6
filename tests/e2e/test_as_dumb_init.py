"""What dumb-init promises, held against podvisor: the cases of its own suite (tests/), told anew. What tini promises as well
is in test_as_tini.py. docs/conformance.md has the table."""
import os
import pty
import re
import signal
import subprocess
import termios

import pytest

from supervised import (DEADLINE_S, PODVISOR, TELLS_SIGNALS, TREE, UNSHARE, await_true, built, children_of, fields_of,
                        namespaces_missing, pods, run, run_both, workers)

pytestmark = built


def state_of(pid):
    return (fields_of(pid) or {}).get("state")


def main_of(command):
    """The process of the command itself."""
    return await_true("the command", lambda: [main for shim in children_of(command.pid) for main in children_of(shim)])[0]


# ---- child processes ----

def test_a_signal_to_a_shell_takes_its_pipelines_along(run_both):
    command = run_both("sh", "-c", "sleep 1000 | cat & sleep 1000 | cat >&2")
    await_true("the shell and four", lambda: len(command.left()) == 6)  # and the shim
    command.kill(signal.SIGTERM)
    assert command.result()[0] == 128 + signal.SIGTERM
    assert command.left() == []


def test_what_a_command_leaves_behind_dies_when_it_ends(run_both):
    """dumb-init sends SIGTERM and goes; here not one process stays, whatever it ignores."""
    command = run_both(TREE, "group", "session", "daemon", "stopped", "deaf", "group", "session", "exit=0")
    code, out, err = command.result()
    assert (code, out) == (0, b"ready\n") and b"6 processes that it left behind had to be killed" in err
    assert command.left() == []


@pytest.mark.parametrize("words, code", [(["/doesnotexist"], 127), (["/doesnotexist/sh"], 127), (["/"], 126)])
def test_a_command_that_cannot_be_executed_gives_a_code_and_a_sentence(run_both, words, code):
    ended = run_both(*words).result()
    assert ended[:2] == (code, b"") and b"cannot execute " + words[0].encode() in ended[2]


def test_zombies_of_a_shell_s_children_do_not_stay(run_both):
    """The program that became podvisor's grandchild twice over ends after its parents have."""
    script = "exec 3<&0; sh -c 'sh -c \"read x <&3\" & exit' & wait; echo gone; exec sleep 1000"
    command = run_both("sh", "-c", script, stdin=subprocess.PIPE)
    assert command.line() == "gone"
    shim = children_of(command.pid)[0]
    await_true("the orphan is the shim's child", lambda: len(children_of(shim)) == 2)
    command.process.stdin.write(b"x\n")
    await_true("it has ended and was reaped", lambda: len(children_of(shim)) == 1)
    command.kill(signal.SIGTERM)
    assert command.result() == (128 + signal.SIGTERM, b"", b"")


# ---- the working directory ----

def test_the_command_starts_where_podvisor_was_started_and_nobody_else_stays_there(run_both, directory):
    command = run_both("sh", "-c", "pwd; read x", stdin=subprocess.PIPE, cwd=directory)
    assert command.line() == directory
    shim = children_of(command.pid)[0]
    await_true("podvisor and its shim have left", lambda: {os.readlink(f"/proc/{pid}/cwd") for pid in (command.pid, shim)} == {"/"})
    assert command.result(b"\n")[0] == 0


@pytest.mark.parametrize("here", ["./program", "program"])
def test_a_command_is_found_from_there(run, directory, here):
    program = os.path.join(directory, "program")
    with open(program, "w") as file:
        file.write("#!/bin/sh\necho found\n")
    os.chmod(program, 0o755)
    assert run(here, cwd=directory, env={"PATH": f".:{os.environ['PATH']}"}).result() == (0, b"found\n", b"")


# ---- signals ----

def test_signals_one_after_another_arrive_in_order(run_both):
    command = run_both(*TELLS_SIGNALS)
    assert command.line() == "ready"
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCONT, signal.SIGINT) * 5:
        command.kill(number)
        assert command.line() == str(int(number))


def test_a_stop_signal_can_be_another_than_sigterm(pods):
    """What --rewrite 15:3 is for; here it is a worker's stop.signal."""
    pod = pods(workers(one={"command": TELLS_SIGNALS, "stop": {"signal": "SIGQUIT", "timeout": "5s"}}))
    pod.log("one", "^ready$", own=False)
    pod.kill(signal.SIGTERM)
    pod.log("one", f"^{int(signal.SIGQUIT)}$", own=False)
    pod.kill(signal.SIGTERM)
    pod.log(msg="^a second signal")
    pod.kill(signal.SIGTERM)
    assert pod.wait() == 0


# ---- job control ----

@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])
def test_a_job_is_suspended_and_resumed_with_podvisor(run, number):
    command = run(*TELLS_SIGNALS)
    assert command.line() == "ready"
    main = main_of(command)
    for _ in range(3):
        command.kill(number)
        await_true("both are stopped", lambda: state_of(command.pid) == state_of(main) == "T")
        command.kill(signal.SIGCONT)
        assert command.line() == str(int(signal.SIGCONT))
        assert "T" not in (state_of(command.pid), state_of(main))


@pytest.mark.skipif(namespaces_missing() is not None, reason=str(namespaces_missing()))
def test_as_pid_1_the_command_is_suspended_alone(run):
    """The kernel lets nothing inside a namespace stop its PID 1."""
    command = run(*TELLS_SIGNALS, wrap=UNSHARE, forks=True)
    assert command.line() == "ready"
    main = main_of(command)
    command.kill(signal.SIGTSTP)
    await_true("it is stopped", lambda: state_of(main) == "T")
    assert state_of(command.pid) == "S"
    command.kill(signal.SIGCONT)
    assert command.line() == str(int(signal.SIGCONT))


# ---- terminals ----

def on_terminal(*argv):
    """Starts it as the leader of a session whose terminal we hold the other end of."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvp(argv[0], argv)
    attributes = termios.tcgetattr(fd)
    attributes[1] &= ~termios.OPOST
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(fd, termios.TCSANOW, attributes)
    return pid, fd


def read_to_end(fd):
    found = b""
    while True:
        try:
            found += os.read(fd, 1024)
        except OSError:  # EIO: nobody holds the other end any more
            os.close(fd)
            return found


def code_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


WRAPS = [pytest.param((), id="as a process"),
         pytest.param(UNSHARE, id="as PID 1", marks=pytest.mark.skipif(namespaces_missing() is not None, reason=str(namespaces_missing())))]


@pytest.mark.parametrize("wrap", WRAPS)
def test_a_command_on_a_terminal_reads_and_writes_it(wrap):
    pid, fd = on_terminal(*wrap, PODVISOR, "run", "--", "tac")
    os.write(fd, b"1\n2\n3\n\x04\x04")
    assert read_to_end(fd) == b"3\n2\n1\n"
    assert code_of(pid) == 0


def test_the_terminal_is_the_command_s_own_so_that_a_shell_has_job_control():
    pid, fd = on_terminal(PODVISOR, "run", "--", "bash", "--norc", "-m")
    os.write(fd, b"exec 2>&1; echo flags $- ; tty; sleep 1000 & jobs; kill %1; ps -o stat= -o tty= -p $$; exit 4\n")
    text = read_to_end(fd)
    assert code_of(pid) == 4
    assert b"no job control" not in text and b"m" in text.partition(b"flags ")[2].split()[0], text
    assert b"/dev/pts/" in text and b"Running" in text
    assert re.search(rb"S[<N]?s", text), "it leads the session of the terminal"


def test_a_key_of_the_terminal_reaches_the_command_and_the_hand_over_does_not():
    """SIGHUP and SIGCONT tell podvisor that its terminal is gone; the command gets neither."""
    pid, fd = on_terminal(PODVISOR, "run", "--", *TELLS_SIGNALS)
    lines = os.fdopen(os.dup(fd))
    assert lines.readline() == "ready\n"
    os.write(fd, b"\x03")
    assert lines.readline() == "2\n"
    os.kill(pid, signal.SIGHUP)
    assert lines.readline() == "1\n"
    lines.close()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert read_to_end(fd) == b""


# ---- the command line ----

def test_it_can_stand_in_the_first_line_of_a_script(directory):
    script = os.path.join(directory, "script")
    with open(script, "w") as file:
        file.write(f'#!/usr/bin/env -S {PODVISOR} run -- /bin/sh\necho "$1"; sleep 1000 & exit 5\n')
    os.chmod(script, 0o755)
    done = subprocess.run([script, "a word"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S)
    assert (done.returncode, done.stdout) == (5, "a word\n")


def test_one_can_stand_in_another(run_both):
    assert run_both(PODVISOR, "run", "--", PODVISOR, "run", "--", "sh", "-c", "echo 'oh, hi'; exit 6").result() == (6, b"oh, hi\n", b"")
