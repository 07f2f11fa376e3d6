"""podvisor run -- COMMAND: as tini and dumb-init do it."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile

import pytest

from supervised import DEADLINE_S, PODVISOR, TREE, await_true, built, root_only, run

pytestmark = built


@pytest.mark.parametrize("code", [0, 1, 7, 64, 78, 255])
def test_the_exit_code_is_passed_on(run, code):
    assert run("sh", "-c", f"exit {code}").result() == (code, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGUSR2, signal.SIGPIPE])
def test_a_command_that_a_signal_ends_gives_128_and_the_signal(run, number):
    code, out, err = run("sh", "-c", f"ulimit -c 0; kill -{int(number)} $$").result()
    assert (code, out, err) == (128 + number, b"", b"")


def test_a_command_that_does_not_exist_gives_127_and_a_sentence(run):
    code, out, err = run("/nonexistent/command").result()
    assert (code, out) == (127, b"")
    assert b"cannot execute /nonexistent/command: No such file or directory" in err


def test_a_command_that_path_does_not_know_gives_127(run):
    code, _, err = run("no-such-command-anywhere").result()
    assert code == 127
    assert b"cannot execute no-such-command-anywhere: No such file or directory" in err


def test_a_command_that_may_not_be_executed_gives_126_and_a_sentence(run, tmp_path):
    file = tmp_path / "plain"
    file.write_text("no program")
    code, out, err = run(str(file)).result()
    assert (code, out) == (126, b"")
    assert b"Permission denied" in err


def test_all_bytes_pass_through_untouched(run):
    data = os.urandom(1 << 20) + b"no newline at the end"
    assert run("cat", stdin=subprocess.PIPE).result(data) == (0, data, b"")


def test_stderr_passes_through_untouched(run):
    data = bytes(range(256)) * 100
    assert run("sh", "-c", "cat >&2", stdin=subprocess.PIPE).result(data) == (0, b"", data)


def test_stdio_is_what_podvisor_itself_was_given(run):
    """Not a pipe of podvisor's: the very same open files."""
    ends = os.pipe()
    command = run("readlink", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", stdin=ends[0])
    here = [os.readlink(f"/proc/self/fd/{fd}")
            for fd in (ends[0], command.process.stdout.fileno(), command.process.stderr.fileno())]
    code, out, _ = command.result()
    assert (code, out.decode().split()) == (0, here)
    for fd in ends:
        os.close(fd)


def test_arguments_arrive_as_they_are(run):
    words = ["", " ", "a b", "--", "-c", "--help", "$HOME", "*", "\"'\\", "ü\n"]
    code, out, _ = run("printf", "%s\\0", *words).result()
    assert code == 0
    assert out.decode().split("\0")[:-1] == words


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2,
                                    signal.SIGQUIT, signal.SIGWINCH])
def test_a_signal_is_forwarded_as_it_is(run, number):
    name = number.name[3:]
    command = run("sh", "-c", f"trap 'echo got {name}; exit 9' {name}; echo ready; while :; do read x; done",
                  stdin=subprocess.PIPE)
    assert command.process.stdout.readline() == b"ready\n"
    command.process.send_signal(number)
    # read ends when the signal arrives or, should that come first, with this line
    code, out, err = command.result(b"\n")
    assert (code, out, err) == (9, b"got " + name.encode() + b"\n", b"")


def test_the_same_signal_is_forwarded_again_and_again(run):
    command = run("sh", "-c", "trap 'echo hup' HUP; trap 'exit 5' TERM; echo ready; while :; do read x; done",
                  stdin=subprocess.PIPE)
    assert command.process.stdout.readline() == b"ready\n"
    for _ in range(5):
        command.process.send_signal(signal.SIGHUP)
        command.process.stdin.write(b"\n")
        command.process.stdin.flush()
        assert command.process.stdout.readline() == b"hup\n"
    command.process.send_signal(signal.SIGTERM)
    assert command.result(b"\n")[0] == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_without_a_handler_ends_by_the_signal_itself(run, number):
    command = run(TREE)
    assert command.process.stdout.readline() == b"ready\n"
    command.process.send_signal(number)
    assert command.result() == (128 + number, b"", b"")


def test_a_second_signal_does_not_disturb_what_the_first_began(run):
    script = "trap 'echo term' TERM; trap 'echo int; exit 3' INT; echo ready; while :; do read x; done"
    command = run("sh", "-c", script, stdin=subprocess.PIPE)
    assert command.process.stdout.readline() == b"ready\n"
    command.process.send_signal(signal.SIGTERM)
    command.process.stdin.write(b"\n")
    command.process.stdin.flush()
    assert command.process.stdout.readline() == b"term\n"
    command.process.send_signal(signal.SIGINT)
    code, out, _ = command.result(b"\n")
    assert (code, out) == (3, b"int\n")


def test_its_orphans_are_reaped_and_its_descendants_are_gone_afterwards(run):
    command = run(TREE, "group", "session", "daemon", "stopped", "titled", "chain=3", "orphans=20", "exit=4")
    code, out, _ = command.result()
    assert (code, out) == (4, b"ready\n")
    assert command.left() == []


def test_nothing_is_left_of_it_when_podvisor_is_killed(run):
    command = run(TREE, "group", "session", "daemon", "deaf")
    assert command.process.stdout.readline() == b"ready\n"
    assert len(command.left()) >= 4
    command.process.kill()
    command.process.wait()
    await_true("the end of all", lambda: not command.left())


def test_no_other_descriptor_reaches_it(run):
    fd = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(fd, True)
    process = subprocess.run([PODVISOR, "run", "--", "ls", "/proc/self/fd"], stdin=subprocess.DEVNULL,
                             capture_output=True, text=True, close_fds=False, timeout=DEADLINE_S)
    os.close(fd)
    assert process.stdout.split() == ["0", "1", "2", "3"], "3 is ls's own view of the directory"


def test_it_starts_with_default_signals_and_an_empty_mask(run):
    # ignored and blocked in the process that becomes podvisor
    script = ("import os, signal, sys\nfor n in (signal.SIGHUP, signal.SIGTERM, signal.SIGPIPE, signal.SIGCHLD): "
              "signal.signal(n, signal.SIG_IGN)\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])\n"
              "os.execv(sys.argv[1], sys.argv[1:])")
    command = run("grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status", wrap=("/usr/bin/python3", "-c", script))
    code, out, _ = command.result()
    assert code == 0
    assert out.decode().split() == ["SigBlk:", "0" * 16, "SigIgn:", "0" * 16]


def test_no_file_is_needed_and_none_is_written(run):
    before = set(os.listdir("/tmp")) | set(os.listdir("/dev/shm")) | set(os.listdir("/run"))
    with tempfile.TemporaryDirectory(prefix="podvisor-e2e.") as place:
        done = subprocess.run([PODVISOR, "run", "--", "pwd"], cwd=place, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=DEADLINE_S)
        assert (done.returncode, done.stdout.strip(), os.listdir(place)) == (0, place, [])
    new = {name for name in (set(os.listdir("/tmp")) | set(os.listdir("/dev/shm")) | set(os.listdir("/run"))) - before}
    assert not [name for name in new if name.startswith(f"podvisor-{os.geteuid()}") or name == "podvisor"]


NOTIFY = pytest.mark.skipif(not shutil.which("systemd-notify"), reason="systemd-notify is not installed")


@NOTIFY
def test_it_may_speak_sd_notify_and_gets_its_answers(run):
    """systemd-notify waits until its message has been taken, and fails when nobody listens."""
    script = "systemd-notify --ready --status=here && systemd-notify STOPPING=1 && echo told; exit 6"
    assert run("sh", "-c", script).result() == (6, b"told\n", b"")


@NOTIFY
def test_the_code_is_that_of_the_main_process_that_it_names(run):
    script = "exec 3<&0; (read go; exit 5) <&3 & systemd-notify MAINPID=$! && echo named; exit 3"
    command = run("sh", "-c", script, stdin=subprocess.PIPE)
    assert command.line() == "named"
    assert command.result(b"go\n") == (5, b"", b"")


def test_what_another_supervisor_told_podvisor_is_not_for_it(run):
    code, out, _ = run("sh", "-c", 'echo "$NOTIFY_SOCKET"', env={"NOTIFY_SOCKET": "/run/outer"}).result()
    assert code == 0 and re.fullmatch(rb"@podvisor/[0-9a-f]+\n", out)


@pytest.mark.parametrize("argv, code", [(["run", "--"], 64), (["run", "echo"], 64), (["run", "--nonsense"], 64),
                                        (["run", "--", "true"], 0), (["run", "--help"], 0)])
def test_usage(argv, code):
    done = subprocess.run([PODVISOR, *argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S)
    assert done.returncode == code
    if code == 64:
        assert done.stdout == "" and done.stderr
    if "--help" in argv:
        assert "run" in done.stdout and done.stderr == ""


@root_only
def test_it_passes_on_the_code_as_an_unprivileged_user_too(run):
    wrap = ("setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--inh-caps=-all", "--no-new-privs")
    copy = pathlib.Path(tempfile.mkdtemp(prefix="podvisor-e2e."))
    try:
        assert run("sh", "-c", "exit 6", wrap=wrap).result()[0] == 6
    finally:
        shutil.rmtree(copy)
