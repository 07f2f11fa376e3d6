"""What comes out of stdout: one JSON object a line, nothing lost while it is taken, nobody blocked when it is not."""
import datetime
import fcntl
import json
import os
import pathlib
import re
import signal
import subprocess
import threading

import pytest

from podvisor import UnixConnection, cli, exchange
from supervised import DEADLINE_S, PODVISOR, SLOWER, TREE, await_true, built, fields_of, name_of, pods, workers

pytestmark = built

SAY = "/usr/bin/python3"


def open_fifo(pod, name="own-fifo"):
    """For writing, without waiting for a reader; what is written waits for one while it is open."""
    return open(os.open(pod.path / name, os.O_RDWR), "w", buffering=1)


def sayer(text):
    """A task whose stdout is these bytes."""
    return {"command": [SAY, "-c", "import os,sys; d=bytes.fromhex(sys.argv[1])\nwhile d: d=d[os.write(1,d):]", text.hex()],
            "kind": "task"}


def test_every_line_is_one_json_object_with_its_fields(pods):
    pod = pods(workers(one={"command": ["sh", "-c", 'echo out; echo err >&2; printf "no newline"'], "kind": "task"}))
    pod.log("one", "^succeeded")
    assert pod.stop() == 0
    for line in pod.lines:
        assert {"ts", "level", "msg"} <= set(line), line.text
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])
        at = datetime.datetime.strptime(line["ts"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=datetime.timezone.utc)
        assert abs((datetime.datetime.now(datetime.timezone.utc) - at).total_seconds()) < 3600
        assert line["level"] in ("debug", "info", "warn", "error")
    assert pod.output("one") == ["out", "no newline"]
    assert pod.output("one", "stderr") == ["err"]


def test_a_worker_s_own_json_is_kept_as_it_is(pods):
    own = '{"level":"fatal","ts":"yesterday","x":{"y":[1,2.50,1e400,12345678901234567890]},"u":"\\u00fc","worker":"me","n":null}'
    other = '  {"message" : "spaced" }  '
    pod = pods(workers(one=sayer(f"{own}\n{other}\n{{\"broken\": }}\n[1]\n{{}}\n".encode())))
    pod.log("one", "^succeeded")
    lines = [line.text.decode().rstrip("\n") for line in pod.find("one", own=False) + pod.find("me", own=False)
             if line.get("stream") == "stdout"]
    kept = next(line for line in lines if "yesterday" in line)
    assert own[1:] in kept, "numbers keep their digits"
    assert json.loads(kept)["level"] == "fatal" and json.loads(kept)["stream"] == "stdout"
    spaced = next(line for line in pod.lines if line.get("message") == "spaced")
    assert spaced["worker"] == "one" and spaced["level"] == "info" and "msg" not in spaced
    assert '{"broken": }' in pod.output("one") and "[1]" in pod.output("one")
    assert all(raw.count(b"\n") == 1 for raw in pod.raw)
    assert pod.stop() == 0


@pytest.mark.parametrize("form", ["auto", "json", "text", "passthrough"])
def test_the_forms(pods, form):
    worker = {**sayer(b'{"a":1}\nplain\n'), "log": {"format": form}}
    pod = pods(workers(one=worker))
    pod.log("one", "^succeeded")
    raw = b"".join(pod.raw)
    assert (b'\n{"a":1}\n' in raw and b"\nplain\n" in raw) == (form == "passthrough")
    if form in ("auto", "json"):
        assert [line for line in pod.lines if line.get("a") == 1]
    if form == "text":
        assert pod.output("one") == ['{"a":1}', "plain"]
    assert pod.stop() == 0


def test_podvisor_s_own_form_can_be_text(pods):
    pod = pods({**workers(one=sayer(b"hello\n")), "log": {"format": "text"}})
    await_true("the end of one", lambda: any(b"succeeded" in raw for raw in list(pod.raw)))
    assert any(re.fullmatch(rb"\S+Z info +one: hello\n", raw) for raw in pod.raw), pod.tail()
    assert pod.stop() == 0


def test_the_level_filters_podvisor_s_lines_and_not_the_workers(pods):
    pod = pods({**workers(one=sayer(b"hello\n"), bad={"command": ["/nonexistent/x"], "restart": {"policy": "never"}}),
                "log": {"level": "error"}})
    pod.log("bad", "could not start")
    pod.log("one", own=False, stream="stdout")
    assert pod.stop() == 0
    assert {line["level"] for line in pod.find()} == {"error"}


def test_a_long_line_leaves_in_pieces_of_max_line(pods):
    text = bytes(ord("a") + i % 26 for i in range(2560))
    pod = pods(workers(one={**sayer(text + b"\nshort\n" + text[:256] + b"\n"), "log": {"max_line": "256"}}))
    pod.log("one", "^succeeded")
    pieces = pod.output("one")
    assert [len(piece) for piece in pieces] == [256] * 10 + [5, 256]
    assert "".join(pieces[:10]).encode() == text
    lines = pod.find("one", own=False, stream="stdout")
    assert [line.get("partial") for line in lines] == [True] * 9 + [None] * 3, "all but the last piece go on in the next"
    assert pod.stop() == 0


def test_a_long_line_without_an_end_does_not_grow_podvisor(pods):
    """64 MiB without a newline."""
    script = "import os\nb=b'x'*(1<<20)\nfor i in range(64):\n d=b\n while d: d=d[os.write(1,d):]"
    pod = pods(workers(one={"command": [SAY, "-c", script], "kind": "task"}))
    pod.log("one", "^succeeded")
    assert sum(len(piece) for piece in pod.output("one")) == 64 << 20
    peak = int(re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pod.pid}/status").read_text())[1])
    assert peak < 64 << 10 or SLOWER > 1
    assert pod.stop() == 0


def test_invalid_utf_8_becomes_valid_and_control_characters_are_escaped(pods):
    pod = pods(workers(one=sayer(b"ok \xc3\xbc \xff\xfe cut \xe2\x82\nnul \0 bell \7 quote \" back \\ tab \t del \x7f cr\r\n\xed\xa0\x80\n")))
    pod.log("one", "^succeeded")
    for raw in pod.raw:
        json.loads(raw.decode("utf-8", "strict"))
    first, second, third = pod.output("one")
    assert first.startswith("ok ü \ufffd") and "cut" in first and first.endswith("\ufffd")
    assert second == "nul \0 bell \7 quote \" back \\ tab \t del \x7f cr"
    assert set(third) == {"\ufffd"}
    assert pod.stop() == 0


def test_200_000_lines_and_then_the_end_all_arrive_in_order(pods):
    count = 200_000
    pod = pods(workers(one={"command": ["seq", "1", str(count)], "kind": "task"}))
    pod.log("one", "^succeeded", seconds=4 * DEADLINE_S)
    assert pod.output("one") == [str(i) for i in range(1, count + 1)]
    assert not pod.find(msg="were dropped")
    assert pod.stop() == 0


def test_they_arrive_although_a_grandchild_holds_the_pipe(pods):
    count = 200_000
    script = f"(setsid sleep 1000 &) ; exec seq 1 {count}"
    pod = pods(workers(one={"command": ["sh", "-c", script], "kind": "task"}))
    pod.log("one", "^succeeded", seconds=4 * DEADLINE_S)
    assert pod.output("one") == [str(i) for i in range(1, count + 1)]
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_the_last_words_arrive_before_podvisor_ends(pods):
    count = 50_000
    pod = pods(workers(one={"command": ["sh", "-c", f"seq 1 {count}; exit 3"], "critical": True, "restart": {"policy": "never"}}))
    assert pod.wait(4 * DEADLINE_S) == 3
    assert pod.output("one") == [str(i) for i in range(1, count + 1)]


def test_what_comes_from_two_streams_and_many_workers_is_never_mixed_within_a_line(pods):
    script = "for i in $(seq 1 500); do echo out-$PODVISOR_INSTANCE_INDEX-$i; echo err-$PODVISOR_INSTANCE_INDEX-$i >&2; done"
    pod = pods(workers(many={"command": ["sh", "-c", script], "kind": "task", "instances": 8}))
    pod.log(msg="^succeeded", count=8)
    for k in range(8):
        assert pod.output(f"many.{k}") == [f"out-{k}-{i}" for i in range(1, 501)]
        assert pod.output(f"many.{k}", "stderr") == [f"err-{k}-{i}" for i in range(1, 501)]
    assert pod.stop() == 0


# ---- lines that belong together, and too many of them ----

def samples(pod, family):
    """The family's samples in /metrics, by their labels."""
    text = exchange(UnixConnection(str(pod.path / "control.sock"), DEADLINE_S), "GET", "/metrics").text
    found = re.findall(rf"^podvisor_{family}(?:\{{(.*?)\}})? (\S+)$", text, re.M)
    return {labels: int(value) for labels, value in found}


STDOUT_DROPS = 'worker="",reason="stdout"'
TRACE = "RuntimeError: no price\n    at price (server.js:10)\n    at main (server.js:3)"


@pytest.mark.parametrize("multiline", ["^[[:space:]]", "node"])
def test_a_stack_trace_is_one_line(pods, multiline):
    pod = pods(workers(one={**sayer(f"before\n{TRACE}\nafter\n".encode()), "log": {"multiline": multiline}}))
    pod.log("one", "^succeeded")
    assert pod.output("one") == ["before", TRACE, "after"]
    assert pod.stop() == 0


def test_its_last_line_does_not_wait_for_another(pods):
    script = f"print({TRACE!r}, flush=True)\nimport time\ntime.sleep(1000)"
    pod = pods(workers(one={"command": [SAY, "-c", script], "log": {"multiline": "python"}}))
    pod.log("one", "^RuntimeError", own=False)
    assert pod.output("one") == [TRACE]
    assert pod.stop() == 0


@pytest.mark.parametrize("pattern, sentence", [
    ("^(at ", "multiline: is no pattern: missing closing parenthesis (character 6)"),
    ("[[:nonsense:]]", "multiline: is no pattern: unknown POSIX class name (character 4)"),
    ("a{2,1}", "multiline: is no pattern: numbers out of order in {} quantifier (character 6)")])
def test_a_bad_pattern_is_refused_with_its_place(tmp_path, pattern, sentence):
    file = tmp_path / "podvisor.json"
    file.write_text('{"workers": {"a": {"command": ["x"],\n  "log": {"multiline": ' + json.dumps(pattern) + "}}}}")
    done = cli("check", "-c", file)
    assert done.code == 78 and f"{file}:2:24: workers.a.log.{sentence}" in done.err + done.out


def test_beyond_its_rate_a_worker_s_lines_are_dropped_counted_and_told(pods):
    count = 20_000
    pod = pods({**workers(noisy={"command": ["sh", "-c", f"seq 1 {count}; exec sleep 1000"], "log": {"rate": 100}},
                          quiet=sayer(b"hello\n"))})
    told = pod.log("noisy", "dropped by its rate limit")
    await_true("all to be taken", lambda: samples(pod, "worker_log_lines_total")['worker="noisy",stream="stdout"'] == count)
    dropped = samples(pod, "worker_log_dropped_lines_total")
    assert set(dropped) == {STDOUT_DROPS, 'worker="noisy",reason="rate"'} and dropped[STDOUT_DROPS] == 0
    assert pod.stop() == 0
    lines = pod.output("noisy")
    assert len(lines) >= 100 and lines[:100] == [str(i) for i in range(1, 101)]
    assert dropped['worker="noisy",reason="rate"'] == count - len(lines)
    told = [int(re.match(r"(\d+) lines? of noisy w\w+ dropped by its rate limit$", line.msg)[1])
            for line in pod.find("noisy", "dropped by its rate limit")]
    assert sum(told) == count - len(lines)
    assert pod.output("quiet") == ["hello"]


# ---- what is remembered ----

def test_equal_lines_are_followed_without_one_lost_or_twice(pods):
    """And both instances of the worker are meant by its name."""
    script = "while read x; do i=0; while [ $i -lt 50 ]; do echo same; i=$((i+1)); done; done < own-fifo.$PODVISOR_INSTANCE_INDEX"
    pod = pods(workers(many={"command": ["sh", "-c", script], "instances": 2, "log": {"format": "passthrough"}},
                       other=["sh", "-c", "echo other; exec sleep 1000"]),
               options={"preexec_fn": lambda: [os.mkfifo(f"own-fifo.{i}") for i in (0, 1)]})
    fifos = [open_fifo(pod, f"own-fifo.{i}") for i in (0, 1)]
    for i in (0, 1):
        pod.ready(f"many.{i}")  # what podvisor says of them is shown, too
    for fifo in fifos:
        fifo.write("\n")
    await_true("the first lines", lambda: pod.raw.count(b"same\n") == 100)
    environment = {**os.environ, "PODVISOR_SOCKET": str(pod.path / "control.sock")}
    with open(pod.path / "own-out", "w+b") as out:
        follower = subprocess.Popen([PODVISOR, "logs", "-f", "-n", "7", "many"], env=environment, stdout=out, stderr=subprocess.STDOUT)
        shown = lambda: (pod.path / "own-out").read_bytes()
        await_true("the newest of them", lambda: shown() == b"same\n" * 7)
        for i in range(5):
            for fifo in fifos:
                fifo.write("\n" * (i + 1))
            await_true("the lines of this round", lambda: pod.raw.count(b"same\n") == 100 + 50 * (i + 1) * (i + 2))
        await_true("every line", lambda: len(shown()) >= len(b"same\n") * (7 + 1500))
        follower.send_signal(signal.SIGINT)
        assert follower.wait(DEADLINE_S) == 0
    assert shown() == b"same\n" * (7 + 1500)
    for fifo in fifos:
        fifo.close()
    assert pod.stop() == 0


def test_a_name_has_what_podvisor_said_about_it_too(pods):
    pod = pods(workers(one={"command": ["sh", "-c", "echo before the end; exit 3"], "restart": {"policy": "never"}},
                       other=["sh", "-c", "echo other; exec sleep 1000"]))
    failed = pod.log("one", "^failed: exited with code 3").msg
    pod.log("other", "^other$", own=False)
    shown = cli("logs", "one", socket_path=pod.path / "control.sock").out
    told = [json.loads(line)["msg"] for line in shown.splitlines()]
    assert "before the end" in told and told[-1] == failed and "other" not in shown
    assert [msg for msg in told if msg != "before the end"] == pod.messages("one")
    assert pod.stop() == 0


def test_what_is_overwritten_before_it_can_be_shown_is_counted(pods):
    pod = pods(workers(one={"command": ["sh", "-c", "read x < own-fifo; seq 1 200000; exec sleep 1000"]}),
               options={"preexec_fn": lambda: os.mkfifo("own-fifo")})
    address = str(pod.path / "control.sock")
    ask = lambda target: exchange(UnixConnection(address, DEADLINE_S), "GET", target).json()
    pod.log(msg="pid")
    cursor = ask("/api/v1/logs?json=1&lines=0&name=one")["next"]
    with open_fifo(pod) as fifo:
        fifo.write("\n")
        pod.log("one", "^200000$", own=False, seconds=4 * DEADLINE_S)
    seen, missed, more = [], 0, True
    while more:
        answer = ask(f"/api/v1/logs?after={cursor}&plain=1&name=one")
        cursor, more = answer["next"], answer["more"]
        missed += answer["missed"]
        seen += [int(line["line"]) for line in answer["lines"]]
    assert missed > 0 and missed + len(seen) == 200_000
    assert seen == list(range(missed + 1, 200_001))
    assert pod.stop() == 0


def test_the_last_words_in_the_termination_log_are_plain_text(pods):
    script = ('printf \'{"level":"fatal","msg":"own"}\\n\\033[31mError: \\377 boom\\033[0m\\n  at x\\n\' >&2; '
              "printf 'ü%.0s' $(seq 1 3000); exit 3")
    pod = pods(workers(api={"command": ["sh", "-c", script], "critical": True, "restart": {"policy": "never"},
                            "log": {"multiline": "^ "}}))
    assert pod.wait() == 3
    told = pod.termination.read_bytes()
    assert len(told) <= 4096
    first, *lines = told.decode().splitlines()
    assert first.startswith("podvisor ended with code 3: worker api exited with code 3")
    assert lines in (['{"level":"fatal","msg":"own"}', "Error: \ufffd boom", "  at x", "ü" * len(lines[-1])],
                     ["ü" * len(lines[-1])]), "in the order in which they came"
    assert len(lines[-1]) > 1500


# ---- reloads ----

def test_a_reload_changes_the_form_the_level_and_the_buffer(pods):
    config = workers(one={"command": ["sh", "-c", "while read x; do echo line $x; done < own-fifo"]})
    pod = pods(config, options={"preexec_fn": lambda: os.mkfifo("own-fifo")})
    fifo = open_fifo(pod)
    tree = await_true("the worker and its shim", lambda: len(pod.tree_of("one")) == 2 and pod.tree_of("one"))
    pod.configure({**config, "log": {"format": "text", "level": "warn", "buffer": "64Ki"}})
    assert cli("reload", socket_path=pod.path / "control.sock").code == 0
    fifo.write("1\n")
    await_true("the line", lambda: any(re.fullmatch(rb"\S+Z info  one: line 1\n", raw) for raw in list(pod.raw)))
    assert pod.tree_of("one") == tree, "the worker is not restarted"
    assert pod.stop() == 0
    assert not any(b"stopping" in raw for raw in pod.raw), "that is not worth a warning"


def test_a_worker_that_a_reload_removes_takes_its_series_along(pods):
    """And one that comes into its place counts anew."""
    pod = pods(workers(a={"command": ["sh", "-c", "seq 1 50; exec sleep 1000"]}, b=["sleep", "1000"]))
    pod.log("a", "^50$", own=False)
    lines = lambda: samples(pod, "worker_log_lines_total")
    assert lines()['worker="a",stream="stdout"'] == 50
    pod.reload(workers(b=["sleep", "1000"]))
    pod.log("a", "^stopped")
    await_true("no series of it", lambda: 'worker="a",stream="stdout"' not in lines())
    held = ["sh", "-c", "read x < own-fifo; echo one; exec sleep 1000"]
    os.mkfifo(pod.path / "own-fifo")
    pod.reload(workers(b=["sleep", "1000"], c=held))
    pod.log("c", "pid")
    assert lines()['worker="c",stream="stdout"'] == 0
    with open_fifo(pod) as fifo:
        fifo.write("\n")
        pod.log("c", "^one$", own=False)
    assert lines() == {'worker="b",stream="stdout"': 0, 'worker="b",stream="stderr"': 0,
                       'worker="c",stream="stdout"': 1, 'worker="c",stream="stderr"': 0}
    assert pod.stop() == 0


# ---- a flood of tiny lines ----

@pytest.mark.parametrize("stdout", ["a file", "null", "a pipe that nobody drains"])
def test_a_flood_of_tiny_lines_leaves_room_in_every_turn_of_the_loop(pods, stdout):
    """What a turn takes is bounded by count, so a request waits for a few thousand lines and not for hundreds of thousands."""
    to = {"a file": lambda: os.dup2(os.open("own-out", os.O_WRONLY | os.O_CREAT), 1),
          "null": lambda: os.dup2(os.open("/dev/null", os.O_WRONLY), 1)}
    pod = pods({**workers(flood=["yes"]), "log": {"buffer": "1Mi"}}, follow=False,
               options={"preexec_fn": to[stdout]} if stdout in to else {})
    pod.await_control()
    lines = lambda: samples(pod, "worker_log_lines_total").get('worker="flood",stream="stdout"', 0)
    turns = lambda: samples(pod, "loop_lag_seconds_count")[""]
    if stdout not in to:
        await_true("a stdout that is stuck", lambda: samples(pod, "worker_log_dropped_lines_total")[STDOUT_DROPS] > 0)
    lines_before, turns_before = lines(), turns()
    await_true("a million lines", lambda: lines() > lines_before + 1_000_000)
    turned = turns() - turns_before
    taken = lines() - lines_before
    assert taken <= 4096 * (turned + 10), f"{taken} lines in {turned} turns"
    assert pod.ask("GET", "/livez").status == 200
    assert pod.stop() == 0


# ---- a stdout that nobody drains ----

FLOOD = {"command": ["sh", "-c", 'exec yes "$(printf %0200d 7)"'], "restart": {"policy": "never"}}


def drain(pod):
    """Reads the rest to the end, in the background."""
    pod.follow()


def pending(fd):
    buffer = bytearray(4)
    fcntl.ioctl(fd, 0x541B, buffer)  # FIONREAD
    return int.from_bytes(buffer, "little")


def flooded(pod):
    """Awaits that the pipe is full and that podvisor reads on all the same: the flood's CPU time goes on."""
    fd = pod.process.stdout.fileno()
    size = fcntl.fcntl(fd, 1032)  # F_GETPIPE_SZ
    await_true("a full pipe", lambda: pending(fd) > size - 8192)


def written_by(pod, worker):
    pid = await_true("what writes", lambda: next((pid for pid, _ in filter(None, pod.tree_of(worker)) if name_of(pid) == "yes"), None))
    return int(re.search(r"wchar: (\d+)", pathlib.Path(f"/proc/{pid}/io").read_text())[1])


def test_a_worker_is_not_blocked_by_a_stdout_that_nobody_drains(pods):
    pod = pods({**workers(flood=FLOOD), "log": {"buffer": "64Ki"}}, follow=False)
    flooded(pod)
    before = written_by(pod, "flood")
    await_true("the flood goes on", lambda: written_by(pod, "flood") > before + (16 << 20))
    drain(pod)
    told = pod.log(msg=r"^stdout is slower than the workers: the oldest \d+ lines were dropped")
    assert told["level"] == "warn"
    pod.kill()
    assert pod.wait() == 0
    pod.assert_nothing_left()


def test_for_as_long_as_log_block_it_is(pods):
    """Nothing is lost as long, and then the oldest go. podvisor's own timers tell that a stuck stdout's second is over."""
    clock = {"command": ["sleep", "1000"], "restart": {"backoff": {"initial": "3s", "jitter": "0%"}}}
    config = lambda block: {**workers(flood=FLOOD, clock=clock), "log": {"buffer": "64Ki", "block": block}}
    pod = pods(config("1d"), follow=False)
    pod.await_control()
    drops = lambda: samples(pod, "worker_log_dropped_lines_total")[STDOUT_DROPS]
    run = lambda n: await_true(f"run {n}", lambda: len(pod.worker("clock")["runs"]) == n and pod.worker("clock")["pid"])
    flooded(pod)
    os.kill(run(0), signal.SIGKILL)
    os.kill(run(1), signal.SIGKILL)
    run(2)
    assert drops() == 0
    before = written_by(pod, "flood")
    assert before < 1 << 20, "it stands"
    pod.reload(config("100ms"))
    await_true("the flood to go on", lambda: written_by(pod, "flood") > before + (1 << 20))
    assert drops() > 0
    drain(pod)
    pod.log(msg="^stdout is slower than the workers")
    assert pod.stop() == 0


def test_sigterm_is_obeyed_while_nobody_drains_stdout(pods):
    pod = pods({**workers(flood=FLOOD, quiet=[TREE, "session"]), "log": {"buffer": "64Ki"}}, follow=False)
    flooded(pod)
    pod.kill()
    assert pod.wait() == 0, "although not a byte is taken"
    pod.assert_nothing_left()


def test_a_critical_worker_s_end_is_acted_on_while_nobody_drains_stdout(pods):
    pod = pods({**workers(flood=FLOOD, api={"command": ["sh", "-c", "while [ ! -e own-go ]; do read x < own-fifo; done; exit 9"],
                                            "critical": True, "restart": {"policy": "never"}}),
                "log": {"buffer": "64Ki"}}, follow=False, options={"preexec_fn": lambda: os.mkfifo("own-fifo")})
    flooded(pod)
    (pod.path / "own-go").touch()
    with open_fifo(pod) as fifo:
        fifo.write("\n")
        assert pod.wait() == 9
    assert b"worker api exited with code 9" in pod.termination.read_bytes()


def test_after_a_pause_whole_lines_go_on_and_the_drop_is_told(pods):
    """Every line that arrives is whole, the numbers only ever grow, and what is missing is what was told."""
    count = 300_000
    pod = pods({**workers(one={"command": ["seq", "1", str(count)], "kind": "task"}, mark=[TREE]), "log": {"buffer": "64Ki"}},
               follow=False)
    fd = pod.process.stdout.fileno()
    flooded(pod)
    await_true("the end of one", lambda: not pod.tree_of("one"))
    assert pending(fd)
    drain(pod)
    pod.log("one", "^succeeded")
    pod.settle()
    assert pod.stop() == 0
    assert all(line for line in pod.lines), "every line is JSON"
    numbers = [int(text) for text in pod.output("one")]
    assert numbers == sorted(set(numbers)) and numbers[-1] == count
    told = pod.find(msg="^stdout is slower than the workers: the oldest")
    dropped = int(re.search(r"(\d+) since the start", told[-1].msg)[1])  # what told of earlier ones may be among the dropped
    assert count - len(numbers) <= dropped <= count - len(numbers) + 2000


@pytest.mark.parametrize("kind", ["closed", "full disk"])
def test_a_stdout_that_takes_nothing_any_more_ends_nobody(pods, kind):
    options = {"preexec_fn": (lambda: os.dup2(os.open("/dev/full", os.O_WRONLY), 1)) if kind == "full disk" else (lambda: os.close(1))}
    pod = pods(workers(one={"command": ["sh", "-c", f"seq 1 1000; exec {TREE} session"]}), options=options)
    await_true("the worker", lambda: any(name_of(pid) == "tree" for pid, _ in filter(None, pod.tree_of("one"))))
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_a_reader_that_goes_away_ends_nobody(pods):
    pod = pods(workers(one={"command": ["sh", "-c", "while read x; do echo line; done < own-fifo"]}), follow=False,
               options={"preexec_fn": lambda: os.mkfifo("own-fifo")})
    shim = await_true("the worker", lambda: next((parent for pid, _ in filter(None, pod.tree_of("one"))
                                                  if (parent := (fields_of(pid) or {}).get("parent")) not in (None, pod.pid)), None))
    pod.process.stdout.close()
    with open(pod.path / "own-fifo", "w") as fifo:  # waits for the worker, whose loop this ends
        fifo.write("\n" * 100)
    await_true("another run of it", lambda: not fields_of(shim) and len(pod.tree_of("one")) >= 2)
    assert fields_of(pod.pid)
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_stdout_s_flags_are_left_alone(pods):
    """They are shared with everybody who holds the same open file."""
    ends = os.pipe()
    flags = fcntl.fcntl(ends[1], fcntl.F_GETFL)
    pod = pods(workers(one=[TREE]), options={"preexec_fn": lambda: os.dup2(ends[1], 1)})
    reader = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(ends[0], 65536), b"")], daemon=True)
    reader.start()
    await_true("the worker", lambda: len(pod.tree_of("one")) >= 2)
    assert fcntl.fcntl(ends[1], fcntl.F_GETFL) == flags
    assert pod.stop() == 0
    assert fcntl.fcntl(ends[1], fcntl.F_GETFL) == flags
    os.close(ends[1])
    reader.join(DEADLINE_S)
    os.close(ends[0])
