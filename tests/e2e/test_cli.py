"""The command line: what each command asks, prints and ends with, first against canned answers of docs/api.md
(every answer, also the odd ones), then against a real podvisor."""
import fcntl
import http.server
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import socketserver
import struct
import subprocess
import termios
import threading
import time
import unicodedata

import pytest

from podvisor import PROGRAM, ROOT, SLOWER, cli, wait_until

VERBS = ["run", "check", "status", "start", "stop", "restart", "reload", "logs", "events", "drain", "undrain", "probe", "version",
         "completion", "help"]
ASKING = {"status": [], "start": ["api"], "stop": ["api"], "restart": ["api"], "reload": [], "logs": [], "events": [],
          "drain": [], "undrain": [], "probe": ["ready"]}

WORKER = {"name": "api", "worker": "api", "instance": 0, "kind": "service", "critical": True, "state": "ready", "reason": "",
          "since": "2026-11-24T03:10:45.123Z", "since_seconds": 200.5, "wanted": True, "available": True, "pid": 123, "run": 5,
          "started": "2026-11-24T03:10:44.000Z", "uptime_seconds": 13.6, "next_start": None, "status_text": "serving",
          "depends_on": [], "restarts": 3, "restarts_by_reason": {"exit": 3}, "exits": {"ok": 0, "failed": 3, "signaled": 0},
          "last_exit": None, "checks": [],
          "usage": {"memory_bytes": 52428800, "cpu_seconds": 3.25, "open_fds": 24, "processes": 3}}
BACKOFF = {**WORKER, "name": "indexer", "worker": "indexer", "state": "backoff", "reason": "exited with code 1", "pid": None,
           "since_seconds": 0.4, "restarts": 12, "available": False, "status_text": "", "uptime_seconds": None, "usage": None}
FAILED = {**BACKOFF, "name": "valuation", "state": "failed", "reason": "exited with code 3 too often"}
BROWSER = {"name": "chrome", "critical": False, "state": "ready", "reason": "", "since": "", "since_seconds": 93784, "wanted": True,
           "available": True, "pid": 200, "generation": 2, "listen": "127.0.0.1:9222", "volume": "chrome", "recycles": 1,
           "sessions": 1, "pages": 3, "processes": 9, "processes_by_type": {"browser": 1, "renderer": 4},
           "memory_by_type": {"browser": 104857600, "renderer": 209715200}, "memory_bytes": 314572800, "sandboxed": True}
DRAIN = {"state": "serving", "since": "", "since_seconds": 3.2, "why": "", "remaining_seconds": None, "summary": ""}
STATUS = {
    "instance": "backend-7d9f", "version": "1.0.0", "pid": 1, "time": "2026-11-24T03:10:45.123Z", "uptime_seconds": 645.123,
    "live": True, "ready": False, "started_up": True, "reasons": ["worker:indexer: backoff: exited with code 1"],
    "remarks": ["postgres:main: degraded: slow"], "last_event": 42,
    "workers": [WORKER, BACKOFF], "browsers": [BROWSER],
    "volumes": [{"name": "tmp", "path": "/tmp", "state": "ready", "text": "", "since_seconds": 1.5, "size_bytes": 1 << 30,
                 "used_bytes": 4096, "size_inodes": 400, "used_inodes": 12,
                 "purge": {"running": False, "text": "", "bytes_total": 16 << 20}}],
    "postgres": [{"name": "main", "state": "degraded", "reason": "slow", "text": "a check took 700ms", "since_seconds": 60.1,
                  "connections": 12, "max_connections": 100}],
    "gateway": {"listen": "0.0.0.0:8080", "listening": True, "connections": {"http": 4, "idle": 2, "websocket": 17}, "requests": 1200},
    "drain": DRAIN, "memory": {"limit_bytes": 4 << 30, "used_bytes": 1 << 30,
                              "guard": {"state": "calm", "high_bytes": 3 << 30, "last_step_text": ""}},
}
EVENTS = [{"seq": 41, "time": "2026-11-24T03:10:45.123Z", "level": "info", "thing": "worker", "subject": "api", "what": "ready",
           "text": "ready: its readiness check passed"},
          {"seq": 42, "time": "2026-11-24T03:10:46.000Z", "level": "warn", "thing": "pod", "subject": "", "what": "drain",
           "text": "lame duck"}]


def acted(*workers, done=True):
    return (200 if done else 202), {"done": done, "workers": list(workers), "browsers": []}


class Canned:
    """A supervisor at a Unix socket that answers what it was told to, and remembers what it was asked.

    answers: {"GET /path?query": value}; the query may be left out. A value is (status, body), a function of the
    request's words that returns one, or a list of them, given one after another, the last for ever. A body that
    is no str is JSON; None breaks the connection off."""

    def __init__(self, path):
        self.path, self.answers, self.asked = str(path), {}, []
        self.lock = threading.Lock()
        canned = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                canned.answer(self)
            do_POST = do_GET

            def address_string(self):
                return "unix"

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # a client that was interrupted takes no answer

        self.server = Server(self.path, Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    def find(self, words):
        with self.lock:
            self.asked.append(words)
            value = self.answers.get(words, self.answers.get(words.partition("?")[0], (404, {"error": "no such path"})))
            if isinstance(value, list):
                value = value.pop(0) if len(value) > 1 else value[0]
        return value(words) if callable(value) else value

    def answer(self, handler):
        status, body = self.find(f"{handler.command} {handler.path}")
        if body is None:
            handler.close_connection = True
            return
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def close(self):
        if self.server:
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()
            os.unlink(self.path)
            self.server = None

    def cli(self, *words, **more):
        return cli(*words, socket_path=self.path, **more)

    def start(self, *words, env=None, stdout=subprocess.PIPE):
        return subprocess.Popen([PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                                env={**os.environ, "PODVISOR_SOCKET": self.path, **(env or {})})


@pytest.fixture
def canned(directory):
    server = Canned(os.path.join(directory, "control.sock"))
    yield server
    server.close()


@pytest.fixture
def processes():
    """Commands that run on; each is ended with the test."""
    started = []
    yield started
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in process.stdout, process.stderr:
            if pipe:
                pipe.close()


def read_until(pipe, text, seconds=30):
    """What a pipe or terminal gave until text was in it."""
    got, end = b"", time.monotonic() + seconds * SLOWER
    while text not in got:
        readable, _, _ = select.select([pipe], [], [], max(0, end - time.monotonic()))
        assert readable, f"{text!r} did not come: {got!r}"
        try:
            more = os.read(pipe if isinstance(pipe, int) else pipe.fileno(), 65536)
        except OSError:
            more = b""  # a terminal whose other end is closed
        assert more, f"it ended before {text!r}: {got!r}"
        got += more
    return got


def ended(process, seconds=30):
    out, err = process.communicate(timeout=seconds * SLOWER)
    return process.returncode, out, err.decode()


# ---- words, help, usage ----

@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself_on_stdout(verb):
    done = cli(verb, "--help")
    assert done.code == 0 and done.err == ""
    assert done.out.startswith(f"usage: podvisor {verb}")
    assert "--help" in done.out
    assert max(map(len, done.out.splitlines())) <= 80
    assert cli("help", verb).out == done.out


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_lists_every_command(words):
    done = cli(*words)
    assert done.code == 0 and done.err == ""
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", done.out, re.M)


@pytest.mark.parametrize("words, sentence", [
    ([], "usage: podvisor COMMAND"),
    (["statsu"], 'there is no command "statsu" (did you mean "status"?)'),
    (["xyzzy"], 'there is no command "xyzzy"; `podvisor help` lists them'),
    (["help", "drian"], 'did you mean "drain"?'),
    (["status", "--jsno"], "there is no option --jsno (did you mean --json?)"),
    (["status", "-x"], "there is no option -x"),
    (["status", "--json=1"], "--json takes no value"),
    (["status", "--no-wait"], "there is no option --no-wait"),
    (["status", "api"], '"api" is not expected'),
    (["logs", "-n"], "--lines needs a value"),
    (["logs", "-n", "ten"], '--lines takes a number from 0 to 10000, not "ten"'),
    (["logs", "-n", "-1"], '--lines takes a number'),
    (["logs", "-n", "10001"], '--lines takes a number'),
    (["start"], "a name is missing"),
    (["start", ""], '"" is no name of a worker or browser'),
    (["restart", "x" * 200], "is no name of a worker or browser"),
    (["probe"], "live|ready|startup is missing"),
    (["probe", "redy"], 'there is no probe "redy" (live, ready or startup)'),
    (["probe", "live", "ready"], '"ready" is not expected'),
    (["check", "-c"], "--config needs a value"),
    (["status", "--socket", ""], "--socket needs a value that is not empty"),
    (["check", "--config="], "--config needs a value that is not empty"),
    (["status", "--color", "red"], '--color is auto, always or never, not "red"'),
    (["--socket", "/x", "status"], 'a command is expected before "--socket"'),
    (["completion", "fish"], 'there is no script for "fish" (bash)'),
    (["run", "--confg", "x"], "there is no option --confg (did you mean --config?)"),
    (["run", "-x"], "there is no option -x"),
    (["run", "-c"], "--config needs a value"),
    (["run", "node"], '"node" is not expected (a command goes behind --)'),
    (["run", "node", "--", "x"], '"node" is not expected (a command goes behind --)'),
    (["run", "-c", "--", "node"], '"node" is not expected (a command goes behind --)'),
    (["run", "--"], "a command is expected behind --"),
    (["run", "-c", "x", "--", "true"], "-c FILE and a command behind -- exclude each other"),
])
def test_a_usage_error_is_one_sentence_and_64(words, sentence):
    done = cli(*words)
    assert done.code == 64
    assert done.out == ""
    assert sentence in done.err
    assert words == [] or done.err.count("\n") == 1 or re.fullmatch(r"podvisor .*\nusage: podvisor .*\n", done.err)


def test_the_table_of_commands_is_there_for_programs():
    table = json.loads(cli("help", "--json").out)
    assert [command["name"] for command in table["commands"]] == VERBS
    assert {code["code"] for code in table["exit_codes"]} == {0, 1, 64, 69, 70, 78}


def test_options_and_names_may_be_mixed(canned):
    canned.answers = {"GET /api/v1/workers/api": acted(WORKER), "GET /api/v1/workers/b": acted(WORKER),
                      "POST /api/v1/workers/api/stop": acted(WORKER, done=False),
                      "POST /api/v1/workers/b/stop": acted(WORKER, done=False)}
    assert canned.cli("stop", "api", "--no-wait", "b").code == 0
    assert canned.cli("stop", "--no-wait", "--", "api", "b").code == 0


def test_version_names_the_libraries():
    done = cli("version")
    assert done.code == 0
    for name in "libuv", "libpq", "libcurl", "jansson", "libwebsockets", "pcre2":
        assert re.search(rf"^{name}: \d+\.\d+", done.out, re.M), done
    assert re.match(r"podvisor \S+\nbuild: (gcc|clang) ", done.out)
    assert cli("--version").out == cli("-V").out == done.out
    told = json.loads(cli("version", "--json").out)
    assert done.out.startswith(f"podvisor {told['version']}\nbuild: {told['build']['compiler']}, {told['build']['machine']}")
    for name, version in told["libraries"].items():
        assert f"\n{name}: {version}\n" in done.out


def test_an_answer_that_cannot_be_written_is_no_success():
    with open("/dev/full", "w") as full:
        done = subprocess.run([PROGRAM, "version"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1  # no defect of podvisor's
    assert "No space left" in done.stderr


# ---- check ----

def test_check_says_ok_and_prints_what_counts(directory):
    file = os.path.join(directory, "podvisor.json")
    with open(file, "w") as out:
        json.dump({"control": {"token": "${file:" + directory + "/token}"},
                   "workers": {"api": {"command": ["/bin/true"]}}}, out)
    with open(os.path.join(directory, "token"), "w") as out:
        out.write("sesame-open\n")
    done = cli("check", "-c", file)
    assert (done.code, done.out, done.err) == (0, f"{file}: ok\n", "")
    done = cli("check", "--config", file, "--print")
    assert done.code == 0 and "sesame" not in done.out
    assert json.loads(done.out)["workers"]["api"]["restart"]["policy"] == "always"


def test_check_prints_the_whole_command_of_a_browser(directory):
    file = os.path.join(directory, "podvisor.json")
    with open(file, "w") as out:
        json.dump({"volumes": {"ram": {"path": "/ram", "size": "1Gi"}},
                   "browsers": {"chrome": {"volume": "ram", "executable": "/bin/true", "token": "sesame-open", "sandbox": "off",
                                           "args": ["--lang=de", "--note=it's sesame-open"]},
                                "gone": {"volume": "ram", "executable": "/no/such/chrome", "listen": "127.0.0.1:9223"}}}, out)
    done = cli("check", "-c", file, "--print")
    assert done.code == 0 and "chrome" in json.loads(done.out)["browsers"]
    chrome, gone = done.err.splitlines()
    assert chrome.startswith("browsers.chrome runs: /bin/true --headless --no-first-run ")
    assert " --no-sandbox --lang=de '--note=it'\\''s ***' --user-data-dir=/ram/chrome/chrome/g1/profile " in chrome
    assert "sesame" not in done.err
    assert gone == "browsers.gone cannot run here: executable /no/such/chrome: No such file or directory"


def test_a_secret_among_the_arguments_of_a_browser_is_not_printed(directory):
    secret, file = os.path.join(directory, "secret"), os.path.join(directory, "podvisor.json")
    with open(secret, "w") as out:
        out.write("it's-of-a-file")
    words = ["--api-token=literal-one", "--proxy-server=http://me:literal-two@proxy:3128", f"--a=${{file:{secret}}}",
             "--b=x ${MY_SECRET}", "--password", "literal-three", "--c=${SHORT_TOKEN}", "--plain=it's seen"]
    with open(file, "w") as out:
        json.dump({"volumes": {"ram": {"path": "/ram", "size": "1Gi"}}, "browsers": {
            "chrome": {"volume": "ram", "executable": "/bin/true", "sandbox": "off", "args": words}}}, out)
    done = cli("check", "-c", file, "--print", env={"MY_SECRET": "of-a-variable", "SHORT_TOKEN": "qqq"})
    said = " --no-sandbox '--api-token=***' '--proxy-server=http://me:***@proxy:3128' '***' '***' --password '***' '***' "
    assert done.code == 0 and said + "'--plain=it'\\''s seen' --user-data-dir=" in done.err
    for part in "literal", "of-a-file", "of-a-variable", "qqq":
        assert part not in done.out + done.err
    assert json.loads(done.out)["browsers"]["chrome"]["args"][4:6] == ["--password", "***"]


def test_a_configuration_may_come_by_standard_input():
    for text, code, says in ('{"workers": {"a": {"command": ["x"]}}}', 0, ""), ("{", 78, "/dev/stdin:1:"):
        done = subprocess.run([PROGRAM, "check", "-c", "-"], input=text, capture_output=True, text=True)
        assert done.returncode == code and says in done.stderr


def test_check_tells_every_mistake_and_78(directory):
    file = os.path.join(directory, "podvisor.json")
    with open(file, "w") as out:
        out.write('{\n  "workers": {\n    "api": { "comand": ["x"], "instances": "two" }\n  }\n}\n')
    done = cli("check", "-c", file)
    assert done.code == 78 and done.out == ""
    assert re.search(rf'^{re.escape(file)}:3:\d+: workers\.api\.comand: .*did you mean "command"', done.err, re.M)
    assert re.search(rf"^{re.escape(file)}:3:\d+: workers\.api\.instances: ", done.err, re.M)
    absent = cli("check", "-c", os.path.join(directory, "absent.json"))
    assert absent.code == 78 and absent.err.count("\n") == 1 and "absent.json" in absent.err


def test_mistakes_are_there_for_programs(directory):
    file = os.path.join(directory, "podvisor.json")
    with open(file, "w") as out:
        out.write('{\n  "workers": {\n    "api": { "comand": ["x"], "command": [] }\n  }\n}\n')
    done = cli("check", "-c", file, "--json")
    assert (done.code, done.err) == (78, "")
    mistakes = json.loads(done.out)
    assert [(m["file"], m["line"], m["path"]) for m in mistakes] == [(file, 3, "workers.api.comand"), (file, 3, "workers.api.command")]
    lines = [f"{m['file']}:{m['line']}:{m['column']}: {m['path']}: {m['message']}" for m in mistakes]
    assert cli("check", "-c", file).err.splitlines() == lines
    absent = os.path.join(directory, "absent.json")
    done = cli("check", "-c", absent, "--json")
    assert done.code == 78
    assert json.loads(done.out) == [{"file": absent, "line": None, "column": None, "path": "", "message": "No such file or directory"}]
    with open(file, "w") as out:
        out.write('{"workers": {"api": {"command": ["true"]}}}')
    assert (cli("check", "-c", file, "--json").code, cli("check", "-c", file, "--json").out) == (0, "[]\n")
    assert "api" in json.loads(cli("check", "-c", file, "--json", "--print").out)["workers"]


def test_the_schema_is_json():
    done = cli("check", "--schema")
    assert done.code == 0
    assert "workers" in json.loads(done.out)["properties"]


# ---- nobody answers ----

@pytest.mark.parametrize("verb", ASKING)
def test_without_a_supervisor_a_command_says_where_it_looked_and_69(directory, verb):
    path = os.path.join(directory, "nobody.sock")
    done = cli(verb, *ASKING[verb], "--socket", path)
    assert done.code == 69 and done.out == ""
    assert done.err == f"podvisor {verb}: no supervisor answers; tried {path} (No such file or directory)\n"


def test_a_stale_socket_is_nobody(directory):
    path = os.path.join(directory, "stale.sock")
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    done = cli("status", socket_path=path)
    assert done.code == 69
    assert f"{path} (Connection refused)" in done.err


def test_the_fallbacks_are_tried_and_named(directory):
    done = cli("status", env={"XDG_RUNTIME_DIR": directory})
    if done.code == 0:
        pytest.skip("a podvisor of this machine's own answers at a default socket")
    assert done.code == 69
    for path in "/run/podvisor/control.sock", f"{directory}/podvisor/control.sock", f"/tmp/podvisor-{os.getuid()}/control.sock":
        assert f"{path} (" in done.err


def test_a_fallback_that_answers_is_used(directory):
    if os.path.exists("/run/podvisor/control.sock"):
        pytest.skip("a podvisor of this machine's own answers at a default socket")
    os.mkdir(os.path.join(directory, "podvisor"))
    server = Canned(os.path.join(directory, "podvisor", "control.sock"))
    try:
        server.answers = {"GET /livez": (200, "ok\n")}
        assert cli("probe", "live", env={"XDG_RUNTIME_DIR": directory}).code == 0
        # A socket that was named is the only one: no other pod is acted on in its place.
        done = cli("probe", "live", "--socket", os.path.join(directory, "other"), env={"XDG_RUNTIME_DIR": directory})
        assert done.code == 69
        done = cli("probe", "live", socket_path=os.path.join(directory, "other"), env={"XDG_RUNTIME_DIR": directory})
        assert done.code == 69
    finally:
        server.close()


def test_a_fallback_that_others_may_write_to_is_not_believed(directory):
    if os.path.exists("/run/podvisor/control.sock"):
        pytest.skip("a podvisor of this machine's own answers at a default socket")
    place = os.path.join(directory, "podvisor")
    os.mkdir(place)
    os.chmod(place, 0o777)
    server = Canned(os.path.join(place, "control.sock"))
    try:
        server.answers = {"GET /livez": (200, "ok\n")}
        done = cli("probe", "live", env={"XDG_RUNTIME_DIR": directory})
        assert done.code == 69 and f"{place}/control.sock (its directory is not ours alone)" in done.err
        assert server.asked == []
        os.chmod(place, 0o755)
        assert cli("probe", "live", env={"XDG_RUNTIME_DIR": directory}).code == 0
    finally:
        server.close()


def test_the_option_wins_over_the_variable(canned, directory):
    canned.answers = {"GET /livez": (200, "ok\n")}
    done = cli("probe", "live", "--socket", canned.path, socket_path=os.path.join(directory, "other"))
    assert (done.code, done.out) == (0, "ok\n")


def test_a_path_too_long_for_a_socket_is_said(directory):
    done = cli("status", "--socket", directory + "/" + "x" * 120)
    assert done.code == 69 and "too long" in done.err


def test_a_supervisor_that_breaks_off_is_69(canned):
    canned.answers = {"GET /api/v1/status": (200, None)}
    done = canned.cli("status")
    assert done.code == 69
    assert done.err == f"podvisor status: {canned.path}: the answer broke off\n"


def test_an_answer_that_is_no_json_is_70(canned):
    canned.answers = {"GET /api/v1/status": (200, "<html>")}
    done = canned.cli("status")
    assert done.code == 70 and "no JSON object" in done.err


def test_proxies_of_the_environment_have_no_part_in_it(canned):
    canned.answers = {"GET /livez": (200, "ok\n")}
    env = {name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")}
    assert canned.cli("probe", "live", env=env).code == 0


# ---- status ----

STATUS_TEXT = """\
backend-7d9f: not ready, up 10m45s, pid 1, podvisor 1.0.0
  worker:indexer: backoff: exited with code 1
  postgres:main: degraded: slow
drain: serving
memory: 1.0Gi of 4.0Gi, the guard acts above 3.0Gi

WORKER   STATE    SINCE  UP   PID  RESTARTS  MEMORY  CPU  REASON
indexer  backoff  0s     -    -    12        -       -    exited with code 1
api      ready    3m20s  13s  123  3         50.0Mi  3s   serving

BROWSER  STATE  SINCE  GENERATION  PID  RECYCLES  SESSIONS  PAGES  MEMORY   PROCESSES                              LISTEN          REASON
chrome   ready  1d2h   2           200  1         1         3      300.0Mi  browser 1 100.0Mi, renderer 4 200.0Mi  127.0.0.1:9222

DATABASE  STATE     SINCE  CONNECTIONS  REASON
main      degraded  1m     12 of 100    slow: a check took 700ms

VOLUME  STATE  SINCE  USED            INODES     PURGED  PATH  REASON
tmp     ready  1s     4.0Ki of 1.0Gi  12 of 400  16.0Mi  /tmp

GATEWAY       STATE      HTTP  IDLE  WEBSOCKETS  REQUESTS
0.0.0.0:8080  listening  4     2     17          1200
"""


def test_status_is_aligned_for_people(canned):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    done = canned.cli("status")
    assert done.code == 0 and done.err == ""
    assert done.out == STATUS_TEXT


def test_status_as_json_is_what_the_api_said(canned):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    done = canned.cli("status", "--json")
    assert done.code == 0
    assert json.loads(done.out) == STATUS


def test_a_reason_that_repeats_the_pid_gives_way_to_what_the_worker_says(canned):
    canned.answers = {"GET /api/v1/status": (200, {**STATUS, "instance": None, "workers": [{**WORKER, "reason": "pid 123"}]})}
    done = canned.cli("status")
    assert done.out.startswith("podvisor: not ready")
    assert re.search(r"^api .* serving$", done.out, re.M) and "pid 123" not in done.out


def test_a_worker_that_says_nothing_has_its_progress_told(canned):
    silent = {**WORKER, "status_text": "", "progress": {"value": 21000042, "age_seconds": 61.5, "stalled": False, "trouble": None}}
    canned.answers = {"GET /api/v1/status": (200, {**STATUS, "workers": [silent]})}
    assert re.search(r"^api .* at 21000042 for 1m1s$", canned.cli("status").out, re.M)


def test_an_empty_podvisor_has_a_short_status(canned):
    canned.answers = {"GET /api/v1/status": (200, {**STATUS, "ready": True, "reasons": [], "remarks": [], "workers": [],
                                                   "browsers": [], "volumes": [], "postgres": [], "gateway": None,
                                                   "memory": {"limit_bytes": None, "used_bytes": None}})}
    assert canned.cli("status").out == "backend-7d9f: ready, up 10m45s, pid 1, podvisor 1.0.0\n"


def test_what_was_done_for_room_is_told(canned):
    volume = {**STATUS["volumes"][0], "purge": {"running": False, "text": "3 files deleted, 1 MiB freed, 60% used", "bytes_total": 1 << 20}}
    guard = {"state": "acting", "high_bytes": 3 << 30, "last_step_text": "purging the volume tmp"}
    canned.answers = {"GET /api/v1/status": (200, {**STATUS, "volumes": [volume],
                                                   "memory": {**STATUS["memory"], "guard": guard}})}
    told = canned.cli("status").out
    assert "memory: 1.0Gi of 4.0Gi, the guard acts above 3.0Gi: acting, purging the volume tmp\n" in told
    assert "last purge: 3 files deleted, 1 MiB freed, 60% used" in told
    volume["purge"]["running"] = True
    guard.update(state="off", high_bytes=None)
    told = canned.cli("status").out
    assert "memory: 1.0Gi of 4.0Gi, the guard is off\n" in told and re.search(r"^tmp .* purging$", told, re.M)


def test_a_drain_tells_why_and_how_long(canned):
    drain = {**DRAIN, "state": "draining", "why": "SIGTERM", "remaining_seconds": 48.2, "estimate_seconds": 9.4}
    canned.answers = {"GET /api/v1/status": (200, {**STATUS, "drain": drain})}
    assert "drain: draining for 3s: SIGTERM, drained in about 9s, at most 48s to go\n" in canned.cli("status").out


def test_fields_that_are_missing_or_odd_do_not_break_the_status(canned):
    odd = {"workers": [{}, {"name": 7, "state": None, "pid": "x"}, 3], "browsers": {}, "postgres": None, "volumes": [{}],
           "gateway": [], "drain": 4, "memory": []}
    canned.answers = {"GET /api/v1/status": (200, odd)}
    done = canned.cli("status")
    assert done.code == 0
    canned.answers = {"GET /api/v1/status": (200, {})}
    assert canned.cli("status").code == 0


def test_a_worker_cannot_write_to_the_terminal_of_who_looks(canned):
    evil = {**WORKER, "status_text": "\033]0;title\007\nline", "name": "\033[2Japi"}
    canned.answers = {"GET /api/v1/status": (200, {**STATUS, "workers": [evil]})}
    out = canned.cli("status").out
    assert "\033" not in out and "\007" not in out
    assert "?[2Japi" in out and "?]0;title??line" in out


class Terminal:
    """A command on a terminal of that size. screen is what it shows, as far as it was read."""

    def __init__(self, socket_path, words, env=None, columns=120, rows=40):
        self.ours, theirs = pty.openpty()
        self.resize(columns, rows)
        environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "LINES")}
        self.process = subprocess.Popen([PROGRAM, *words], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
                                        env={**environment, "PODVISOR_SOCKET": socket_path, "TERM": "xterm", **(env or {})})
        os.close(theirs)
        self.written = b""

    def resize(self, columns, rows):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, text, seconds=30):
        """What came since the last call, until text was in it."""
        got = read_until(self.ours, text if isinstance(text, bytes) else text.encode(), seconds)
        self.written += got
        return got.decode()

    def pictures(self, n):
        """The first n that were drawn in place; each ends by clearing what is below."""
        while self.written.count(b"\033[J") <= n:
            self.read_until("\033[J")
        return self.written.decode().split("\033[J")[1:n + 1]

    def rest(self):
        """What came until its end."""
        got = b""
        while True:
            try:
                more = os.read(self.ours, 65536)
            except OSError:
                more = b""
            if not more:
                self.written += got
                return got.decode()
            got += more

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


@pytest.fixture
def terminal(canned):
    opened = []

    def start(*words, **more):
        opened.append(Terminal(canned.path, words, **more))
        return opened[-1]
    yield start
    for one in opened:
        one.close()


def on_a_terminal(canned, words, env=None, **size):
    """All that a command writes to a terminal, and its exit code."""
    terminal = Terminal(canned.path, words, env, **size)
    try:
        return terminal.rest(), terminal.process.wait(30 * SLOWER)
    finally:
        terminal.close()


def plain(text):
    return re.sub(r"\033\[\d+m", "", text).replace("\r\n", "\n")


def test_colours_are_for_terminals_that_want_them(canned):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    coloured, code = on_a_terminal(canned, ["status"], columns=160)
    assert code == 0
    assert "\033[32mready\033[0m" in coloured and "\033[33mbackoff\033[0m" in coloured
    assert "\033[31mnot ready\033[0m" in coloured
    assert plain(coloured) == canned.cli("status").out, "colours must not move columns"
    for env in {"NO_COLOR": "1"}, {"TERM": "dumb"}:
        assert "\033" not in on_a_terminal(canned, ["status"], env)[0]
    assert "\033" not in on_a_terminal(canned, ["status", "--color=never"])[0]
    assert canned.cli("status", "--color=always").out == coloured.replace("\r\n", "\n")
    assert "\033" not in canned.cli("status", "--color=auto").out


@pytest.mark.parametrize("columns", [200, 100, 80, 60, 40, 20])
def test_no_row_wraps_on_a_terminal(canned, columns):
    wide = {**BACKOFF, "name": "日本語", "worker": "日本語", "reason": "könnte nicht starten: " + "x" * 300}
    canned.answers = {"GET /api/v1/status": (200, {**STATUS, "workers": [WORKER, wide], "reasons": ["y" * 300]})}
    shown = plain(on_a_terminal(canned, ["status"], columns=columns)[0])
    width = lambda text: sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
    assert max(map(width, shown.splitlines())) <= columns
    assert "…" in shown and "x" * 300 not in shown
    if columns >= 60:
        assert re.search(r"^日本語 .*backoff.* könnte", shown, re.M)
    # Where no terminal is, nothing is cut.
    assert "x" * 300 in canned.cli("status").out


def test_figures_that_were_not_measured_yet_are_asked_for_again(canned):
    unmeasured = {**STATUS, "workers": [{**WORKER, "usage": None}]}
    canned.answers = {"GET /api/v1/status": [(200, unmeasured), (200, STATUS)]}
    assert " 50.0Mi " in canned.cli("status").out
    assert len(canned.asked) == 2


def test_a_watched_status_ends_with_ctrl_c_and_0(canned, processes):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    processes.append(canned.start("status", "--watch", "--json"))
    lines = read_until(processes[0].stdout, b"}\n{").split(b"\n")
    assert json.loads(lines[0]) == STATUS
    processes[0].send_signal(signal.SIGINT)
    code, _, err = ended(processes[0])
    assert (code, err) == (0, "")


def test_a_watch_of_nobody_ends_with_69(directory):
    path = os.path.join(directory, "nobody.sock")
    done = cli("status", "--watch", socket_path=path)
    assert (done.code, done.out) == (69, "")
    assert done.err == f"podvisor status: no supervisor answers; tried {path} (No such file or directory)\n"


def test_a_watched_status_goes_on_when_the_supervisor_comes_again(canned, processes):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    processes.append(canned.start("status", "--watch", "--json"))
    read_until(processes[0].stdout, b"}\n")
    canned.close()
    told = read_until(processes[0].stderr, b"\n").decode()
    assert told == f"podvisor status: {canned.path}: the supervisor went away; trying again\n"
    again = Canned(canned.path)
    try:
        again.answers = {"GET /api/v1/status": (200, {**STATUS, "pid": 77})}
        read_until(processes[0].stdout, b'"pid":77')
        processes[0].send_signal(signal.SIGTERM)
        code, _, err = ended(processes[0])
        assert (code, err) == (0, "")
    finally:
        again.close()


HIDE, SHOW, OTHER, OWN = "\033[?25l", "\033[?25h", "\033[?1049h", "\033[?1049l"


def test_a_watch_draws_in_place_and_leaves_the_terminal_as_it_was(canned, terminal):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    screen = terminal("status", "--watch")
    for picture in screen.pictures(2):
        assert picture.startswith("\033[H") and picture.count("\033[K") > 10
        assert "\033[2J" not in picture, "what is drawn again is not cleared before"
    assert screen.written.decode().startswith(OTHER + HIDE)
    screen.process.send_signal(signal.SIGINT)
    assert screen.process.wait(30 * SLOWER) == 0
    rest = screen.rest()
    assert rest.endswith(SHOW + OWN) and screen.written.decode().count(OWN) == 1


def test_a_watch_is_cut_to_the_screen_and_follows_its_size(canned, terminal):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    screen = terminal("status", "--watch", columns=60, rows=10)
    drawn = screen.pictures(1)[0]
    assert drawn.count("\r\n") == 9 and not drawn.endswith("\n")
    assert "REQUESTS" not in drawn
    screen.resize(120, 40)
    screen.process.send_signal(signal.SIGWINCH)
    screen.read_until("REQUESTS")


def test_a_watch_that_is_put_aside_gives_the_terminal_back(canned, terminal):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    screen = terminal("status", "--watch")
    screen.pictures(1)
    screen.process.send_signal(signal.SIGTSTP)
    screen.read_until(OWN)
    wait_until("it is stopped", lambda: open(f"/proc/{screen.process.pid}/stat").read().rpartition(")")[2].split()[0] == "T")
    shown = len(screen.written)
    screen.process.send_signal(signal.SIGCONT)
    wait_until("it draws again", lambda: screen.read_until("\033[J") and b"REQUESTS" in screen.written[shown:])
    assert OTHER in screen.written[shown:].decode()


def test_a_watch_on_a_terminal_says_that_nobody_answers_and_goes_on(canned, terminal):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    screen = terminal("status", "--watch")
    screen.read_until("REQUESTS")
    canned.close()
    screen.read_until("trying again. It was:")
    again = Canned(canned.path)
    try:
        again.answers = {"GET /api/v1/status": (200, {**STATUS, "pid": 77})}
        screen.read_until("pid 77")
    finally:
        again.close()


def test_a_watch_on_a_dumb_terminal_writes_one_picture_after_another(canned, terminal):
    canned.answers = {"GET /api/v1/status": (200, STATUS)}
    screen = terminal("status", "--watch", env={"TERM": "dumb"})
    screen.read_until("REQUESTS")
    screen.read_until("REQUESTS")
    assert "\033" not in screen.written.decode()


# ---- start, stop, restart ----

@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_a_command_waits_until_it_is_done(canned, verb):
    canned.answers = {"GET /api/v1/workers/api": acted(WORKER), f"POST /api/v1/workers/api/{verb}": acted(WORKER)}
    done = canned.cli(verb, "api")
    assert (done.code, done.out, done.err) == (0, "api: ready, pid 123\n", "")
    assert canned.asked[-1] == f"POST /api/v1/workers/api/{verb}?wait=600"


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_no_wait_does_not(canned, verb):
    starting = {**WORKER, "state": "starting", "available": False}
    canned.answers = {"GET /api/v1/workers/api": [acted(WORKER), acted(starting)],
                      f"POST /api/v1/workers/api/{verb}": acted(WORKER, done=False)}
    done = canned.cli(verb, "--no-wait", "api")
    assert (done.code, done.out) == (0, "api: starting, pid 123\n")
    assert f"POST /api/v1/workers/api/{verb}" in canned.asked


def test_a_worker_that_failed_is_1_with_its_reason(canned):
    canned.answers = {"GET /api/v1/workers/valuation": acted(FAILED), "POST /api/v1/workers/valuation/restart": acted(FAILED)}
    done = canned.cli("restart", "valuation")
    assert (done.code, done.out) == (1, "valuation: failed, exited with code 3 too often\n")
    assert done.err == "podvisor restart: valuation did not come up\n"


def test_what_is_still_tried_is_1_and_goes_on(canned):
    backs_off = {**WORKER, "state": "backoff", "available": False, "reason": "could not start: no such file"}
    canned.answers = {"GET /api/v1/workers/api": acted(WORKER), "POST /api/v1/workers/api/start": acted(backs_off)}
    done = canned.cli("start", "api")
    assert (done.code, done.out) == (1, "api: backoff, could not start: no such file\n")
    assert done.err == "podvisor start: api has not come up; podvisor goes on trying\n"
    job = {**backs_off, "state": "waiting", "kind": "job", "reason": "next run at noon; last run: exited with code 1"}
    canned.answers["POST /api/v1/workers/api/start"] = acted(job)
    assert canned.cli("start", "api").err == "podvisor start: api did not come up\n"


def test_to_stop_what_has_failed_is_no_failure(canned):
    canned.answers = {"GET /api/v1/workers/valuation": acted(FAILED), "POST /api/v1/workers/valuation/stop": acted(FAILED)}
    assert canned.cli("stop", "valuation").code == 0


def test_a_task_that_succeeded_was_started_well(canned):
    task = {**WORKER, "state": "succeeded", "pid": None}
    canned.answers = {"GET /api/v1/workers/api": acted(task), "POST /api/v1/workers/api/start": acted(task)}
    assert canned.cli("start", "api").code == 0


def test_what_takes_too_long_is_1_and_goes_on(canned):
    canned.answers = {"GET /api/v1/workers/api": acted(WORKER), "POST /api/v1/workers/api/stop": acted(WORKER, done=False)}
    done = canned.cli("stop", "api")
    assert done.code == 1 and "api is not done after 10 minutes; it goes on" in done.err


def test_nothing_is_done_when_one_name_is_wrong(canned):
    refusal = {"error": 'no worker or browser named "apy"; did you mean "api"?', "nearest": "api"}
    canned.answers = {"GET /api/v1/workers/api": acted(WORKER), "GET /api/v1/workers/apy": (404, refusal)}
    done = canned.cli("restart", "api", "apy")
    assert (done.code, done.out) == (1, "")
    assert done.err == 'podvisor restart: no worker or browser named "apy"; did you mean "api"?\n'
    assert not any(asked.startswith("POST") for asked in canned.asked)


def test_names_are_acted_on_side_by_side(canned):
    """stop b is done only when a, which depends on it, is asked to stop as well."""
    both = threading.Barrier(2)

    def together(_):
        both.wait(30 * SLOWER)
        return acted(WORKER)
    for name in "a", "b":
        canned.answers[f"GET /api/v1/workers/{name}"] = acted(WORKER)
        canned.answers[f"POST /api/v1/workers/{name}/stop"] = together
    assert canned.cli("stop", "b", "a").code == 0


def test_what_was_acted_on_is_there_for_programs(canned):
    canned.answers = {"GET /api/v1/workers/api": acted(WORKER), "POST /api/v1/workers/api/restart": acted(WORKER),
                      "GET /api/v1/workers/valuation": acted(FAILED), "POST /api/v1/workers/valuation/restart": acted(FAILED)}
    done = canned.cli("restart", "api", "valuation", "--json")
    assert done.code == 1
    assert json.loads(done.out) == {"done": True, "workers": [WORKER, FAILED], "browsers": []}
    refusal = {"error": 'no worker or browser named "apy"; did you mean "api"?', "nearest": "api"}
    canned.answers["GET /api/v1/workers/apy"] = (404, refusal)
    done = canned.cli("restart", "apy", "--json")
    assert (done.code, json.loads(done.out)) == (1, refusal) and "did you mean" in done.err


def test_a_long_wait_tells_on_a_terminal_what_it_waits_for(canned, terminal):
    release = threading.Event()

    def slow(_):
        release.wait(60 * SLOWER)
        return acted(WORKER)
    stopping = {**WORKER, "state": "stopping", "since_seconds": 2.5, "reason": "asked for"}
    canned.answers = {"GET /api/v1/workers/api": acted(WORKER), "POST /api/v1/workers/api/restart": slow,
                      "GET /api/v1/workers": (200, {"workers": [stopping, BACKOFF], "browsers": []})}
    screen = terminal("restart", "api")
    screen.read_until("restart: api stopping for 2s (asked for)")
    release.set()
    rest = screen.rest()
    assert "indexer" not in screen.written.decode()
    assert rest.endswith("\r\033[Kapi: \033[32mready\033[0m, pid 123\r\n")
    assert screen.process.wait(30 * SLOWER) == 0


def test_a_long_wait_without_a_terminal_tells_each_change_once(canned, processes):
    release = threading.Event()

    def slow(_):
        release.wait(60 * SLOWER)
        return acted(WORKER)

    def looked_at(_):
        looks.append(1)
        reason = "postgres:main is down" if len(looks) < 4 else "run 7"
        return 200, {"workers": [{**WORKER, "state": "waiting", "since_seconds": len(looks), "reason": reason}], "browsers": []}
    looks = []
    canned.answers = {"GET /api/v1/workers/api": acted(WORKER), "POST /api/v1/workers/api/start": slow,
                      "GET /api/v1/workers": looked_at}
    processes.append(subprocess.Popen([PROGRAM, "start", "api"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, env={**os.environ, "PODVISOR_SOCKET": str(canned.path)}))
    wait_until("it has looked often", lambda: len(looks) > 6)
    release.set()
    code, out, err = ended(processes[0])
    assert (code, out) == (0, b"api: ready, pid 123\n")
    assert err == "podvisor start: api waiting (postgres:main is down)\npodvisor start: api waiting (run 7)\n"


def test_a_drain_that_is_waited_for_tells_how_far_it_is(canned, terminal):
    release = threading.Event()

    def slow(_):
        release.wait(60 * SLOWER)
        return 200, DRAIN
    going = {**DRAIN, "state": "draining", "connections": {"http": 1, "idle": 0, "websocket": 12}, "remaining_seconds": 48.2}
    canned.answers = {"POST /api/v1/drain": slow, "GET /api/v1/drain": (200, going)}
    screen = terminal("drain", "--wait")
    screen.read_until("drain: draining for 3s, 1 requests and 12 WebSockets left, at most 48s to go")
    release.set()
    assert screen.process.wait(30 * SLOWER) == 0


def test_a_name_cannot_reach_another_path(canned):
    canned.cli("stop", "../reload?x=1#")
    assert canned.asked == ["GET /api/v1/workers/..%2Freload%3Fx%3D1%23"]


# ---- reload, drain, probe ----

def test_reload_tells_what_changed(canned):
    changes = ["+ worker x", "- worker y", "~ worker api: command; restarts"]
    canned.answers = {"POST /api/v1/reload": [(200, {"changes": changes, "dry_run": False}), (200, {"changes": []})]}
    assert canned.cli("reload").out == "".join(f"{change}\n" for change in changes)
    assert canned.cli("reload").out == "nothing changed\n"
    assert canned.asked == ["POST /api/v1/reload"] * 2
    canned.answers = {"POST /api/v1/reload": (200, {"changes": changes, "dry_run": False})}
    assert json.loads(canned.cli("reload", "--json").out) == {"changes": changes, "dry_run": False}
    coloured = canned.cli("reload", "--color=always").out
    canned.answers = {"POST /api/v1/reload": (200, {"changes": [], "warnings": ["f:1:2: x: warning: y"], "dry_run": False})}
    done = canned.cli("reload")
    assert (done.code, done.out, done.err) == (0, "nothing changed\n", "f:1:2: x: warning: y\n")
    assert coloured == ("\033[32m+ worker x\033[0m\n\033[31m- worker y\033[0m\n"
                        "\033[33m~ worker api: command; restarts\033[0m\n")


def test_a_dry_run_only_asks(canned):
    canned.answers = {"POST /api/v1/reload?dry_run=1": (200, {"changes": [], "dry_run": True})}
    done = canned.cli("reload", "--dry-run")
    assert (done.code, done.out) == (0, "nothing would change\n")


@pytest.mark.parametrize("status", [409, 422])
def test_a_reload_that_is_refused_is_78_with_every_mistake(canned, status):
    canned.answers = {"POST /api/v1/reload": (status, {"error": "refused", "mistakes": ["f:1:2: a: b", "f:3:4: c: d"]})}
    done = canned.cli("reload")
    assert (done.code, done.out) == (78, "")
    assert done.err == "f:1:2: a: b\nf:3:4: c: d\npodvisor reload: refused\n"
    done = canned.cli("reload", "--json")
    assert done.code == 78 and json.loads(done.out) == {"error": "refused", "mistakes": ["f:1:2: a: b", "f:3:4: c: d"]}


def test_a_mistake_is_not_told_a_second_time_by_the_sentence_of_the_refusal(canned):
    canned.answers = {"POST /api/v1/reload": (422, {"error": "f:1:2: a: b (and more mistakes)",
                                                    "mistakes": ["f:1:2: a: b", "f:3:4: c: d"]})}
    assert canned.cli("reload").err == ("f:1:2: a: b\nf:3:4: c: d\n"
                                        "podvisor reload: refused; the configuration that runs goes on\n")
    canned.answers = {"POST /api/v1/reload": (422, {"error": "f: No such file", "mistakes": ["f: No such file"]})}
    assert canned.cli("reload").err == "f: No such file\npodvisor reload: refused; the configuration that runs goes on\n"
    canned.answers = {"POST /api/v1/reload": (409, {"error": "postgres cannot change", "mistakes": []})}
    assert canned.cli("reload").err == "podvisor reload: postgres cannot change\n"


def test_drain_and_undrain_tell_where_it_stands_then(canned):
    canned.answers = {"POST /api/v1/drain": (202, DRAIN), "POST /api/v1/undrain": (202, {**DRAIN, "state": "lame-duck"}),
                      "GET /api/v1/drain": [(200, {**DRAIN, "state": "lame-duck"}), (200, DRAIN)]}
    assert (canned.cli("drain").out, canned.cli("undrain").out) == ("drain: lame-duck\n", "drain: serving\n")
    assert json.loads(canned.cli("undrain", "--json").out) == DRAIN


def test_a_drain_is_waited_for(canned):
    canned.answers = {"POST /api/v1/drain?wait=600": [(200, DRAIN), (202, DRAIN)],
                      "GET /api/v1/drain": (200, {**DRAIN, "state": "draining", "summary": "12 closed"})}
    done = canned.cli("drain", "--wait")
    assert (done.code, done.out) == (0, "drain: drained; 12 closed\n")
    done = canned.cli("drain", "--wait")
    assert done.code == 1 and "not drained after 10 minutes" in done.err


def test_the_drain_of_a_stop_cannot_be_taken_back(canned):
    canned.answers = {"POST /api/v1/undrain": (202, DRAIN),
                      "GET /api/v1/drain": (200, {**DRAIN, "state": "draining", "shutdown": True})}
    done = canned.cli("undrain")
    assert done.code == 1 and "cannot be taken back" in done.err
    canned.answers["POST /api/v1/undrain"] = (409, {"error": "podvisor stops"})
    done = canned.cli("undrain")
    assert (done.code, done.err) == (1, "podvisor undrain: podvisor stops\n")


@pytest.mark.parametrize("name, path", [("live", "/livez"), ("ready", "/readyz"), ("startup", "/startupz")])
def test_a_probe_is_an_exit_code(canned, name, path):
    canned.answers = {f"GET {path}": [(200, "ok"), (503, "[-]worker:api failed: backoff\nreadyz check failed\n")]}
    done = canned.cli("probe", name)
    assert (done.code, done.out) == (0, "ok\n")
    done = canned.cli("probe", name)
    assert (done.code, done.out) == (1, "[-]worker:api failed: backoff\nreadyz check failed\n")


def test_a_probe_is_there_for_programs(canned):
    verbose = "[+]worker:api ok: ready: pid 7\n[-]postgres:main failed: down, unreachable\n[+]gateway excluded: ok\nreadyz check failed\n"
    canned.answers = {"GET /readyz?verbose": (503, verbose)}
    done = canned.cli("probe", "ready", "--json")
    assert done.code == 1
    assert json.loads(done.out) == {"probe": "ready", "ok": False, "checks": [
        {"name": "worker:api", "ok": True, "text": "ready: pid 7"},
        {"name": "postgres:main", "ok": False, "text": "down, unreachable"}, {"name": "gateway", "ok": True, "text": "ok"}]}


def test_a_probe_cannot_write_to_the_terminal_but_keeps_its_letters(canned):
    canned.answers = {"GET /readyz": (503, "[-]worker:größe failed: \033[2J\nreadyz check failed")}
    assert canned.cli("probe", "ready").out == "[-]worker:größe failed: ?[2J\nreadyz check failed\n"


# ---- logs, events ----

def logged(n, name="api", text=None, thing="worker", stream="stdout", command=None):
    """A remembered line as the API gives it."""
    return {"time": f"2026-11-24T03:10:{n:02}.000Z", "thing": thing, "name": name, "stream": stream, "command": command,
            "level": "info", "line": f'{{"worker":"{name}","msg":"{n}"}}' if text is None else text}


def printed(*lines):
    return "".join(line["line"] + "\n" for line in lines)


def found(*lines, after="9-9", missed=0, more=False):
    return 200, {"lines": lines, "next": after, "missed": missed, "more": more}


def test_logs_are_printed_as_they_came(canned):
    canned.answers = {"GET /api/v1/logs?json=1&lines=100": found(logged(1), logged(2)),
                      "GET /api/v1/logs?json=1&lines=1&name=api": found(logged(2)),
                      "GET /api/v1/logs?json=1&lines=3&name=api&name=b.1": found(logged(1), logged(2, "b.1", "two\nlines \0 \x1b[31m")),
                      "GET /api/v1/logs?json=1&lines=0": found()}
    assert canned.cli("logs").out == printed(logged(1), logged(2))
    assert canned.cli("logs", "-n", "1", "api").out == printed(logged(2))
    assert canned.cli("logs", "-n3", "api", "b.1").out == printed(logged(1)) + "two\nlines \0 \x1b[31m\n"
    assert canned.cli("logs", "-n0").out == ""


@pytest.mark.parametrize("no_color", ["", "1"])
def test_logs_on_a_terminal_say_who_wrote_them_and_obey_nothing(canned, processes, no_color):
    canned.answers = {"GET /api/v1/logs?json=1&plain=1&lines=100": found(
        logged(1, "api.0", "hello \x1b[31mred\x1b[0m \x1b]0;title\a \0"), logged(2, "api.0", "Error\n  at x"),
        logged(3, "api.0", "ready", stream=None), logged(4, "api.0", "flushing", command="stop"),
        logged(5, "", "bye", thing="pod", stream=None))}
    ours, theirs = pty.openpty()
    processes.append(canned.start("logs", stdout=theirs, env={"TERM": "xterm", "NO_COLOR": no_color}))
    os.close(theirs)
    got = read_until(ours, b"bye").decode().replace("\r\n", "\n")
    os.close(ours)
    plain = re.sub(r"\x1b\[[0-9]*m", "", got)
    assert plain.startswith("03:10:01.000 api.0  hello red ?]0;title? ?\n"
                            "03:10:02.000 api.0  Error\n      at x\n"
                            "03:10:03.000 podvisor  worker api.0: ready\n"
                            "03:10:04.000 api.0 (stop)  flushing\n"
                            "03:10:05.000 podvisor  bye")
    assert (plain == got) == bool(no_color)
    assert "\x1b[31mred" not in got


def test_logs_that_are_no_json_become_it(canned):
    canned.answers = {"GET /api/v1/logs?json=1&lines=100": found(logged(1), logged(2, "api.0", "plain \0 text"),
                                                                  logged(3, "api.0", "text", command="stop"),
                                                                  logged(4, "", "[1]", thing="pod", stream=None))}
    assert canned.cli("logs", "--json").out == printed(logged(1)) + (
        '{"ts":"2026-11-24T03:10:02.000Z","level":"info","worker":"api.0","stream":"stdout","msg":"plain \\u0000 text"}\n'
        '{"ts":"2026-11-24T03:10:03.000Z","level":"info","worker":"api.0","stream":"stdout","command":"stop","msg":"text"}\n'
        '{"ts":"2026-11-24T03:10:04.000Z","level":"info","msg":"[1]"}\n')


def test_logs_of_an_unknown_name_are_refused(canned):
    canned.answers = {"GET /api/v1/logs": (404, {"error": 'no worker or browser named "x"', "nearest": None})}
    done = canned.cli("logs", "x")
    assert (done.code, done.out) == (1, "") and 'named "x"' in done.err


def test_more_names_than_fit_are_refused(canned):
    done = canned.cli("logs", *["x" * 40] * 61)
    assert (done.code, done.out) == (64, "") and "too many names" in done.err
    done = canned.cli("logs", *["x" * 100] * 50)
    assert (done.code, done.out) == (64, "") and "too many names" in done.err


def test_logs_are_followed_without_a_line_lost_or_twice(canned, processes):
    """Equal lines too: where to go on is a cursor."""
    same = logged(1, text="the same")
    canned.answers = {"GET /api/v1/logs?json=1&lines=2&name=api": found(same, same, after="10-3"),
                      "GET /api/v1/logs?json=1&after=10-3&name=api": found(same, same, same, after="20-6", more=True),
                      "GET /api/v1/logs?json=1&after=20-6&name=api": found(same, after="30-7"),
                      "GET /api/v1/logs?json=1&after=30-7&name=api": [found(after="40-7"), (200, None)],
                      "GET /api/v1/logs?json=1&after=40-7&name=api": found(logged(8), after="50-8"),
                      "GET /api/v1/logs?json=1&after=50-8&name=api": found(after="50-8")}
    processes.append(canned.start("logs", "-f", "-n", "2", "api"))
    got = read_until(processes[0].stdout, printed(logged(8)).encode())
    assert got.decode() == "the same\n" * 6 + printed(logged(8))
    processes[0].send_signal(signal.SIGINT)
    code, rest, err = ended(processes[0])
    assert (code, rest, err) == (0, b"", "")


def test_lines_that_were_overwritten_between_two_looks_are_counted(canned, processes):
    canned.answers = {"GET /api/v1/logs?json=1&lines=100&name=api": found(logged(1), after="1-1"),
                      "GET /api/v1/logs?json=1&after=1-1&name=api": found(logged(9), after="9-9", missed=7),
                      "GET /api/v1/logs?json=1&after=9-9&name=api": found(logged(11), after="11-11", missed=1),
                      "GET /api/v1/logs?json=1&after=11-11&name=api": found(after="11-11")}
    processes.append(canned.start("logs", "-f", "api"))
    got = read_until(processes[0].stdout, printed(logged(11)).encode()).decode()
    assert got == printed(logged(1), logged(9), logged(11))
    processes[0].send_signal(signal.SIGTERM)
    code, _, err = ended(processes[0])
    assert code == 0
    assert err == ("podvisor logs: 7 lines were overwritten before they could be shown\n"
                   "podvisor logs: 1 line was overwritten before it could be shown\n")


def test_logs_end_with_69_when_the_supervisor_goes(canned, processes):
    canned.answers = {"GET /api/v1/logs": found(logged(1))}
    processes.append(canned.start("logs", "-f"))
    read_until(processes[0].stdout, printed(logged(1)).encode())
    canned.close()
    code, _, err = ended(processes[0])
    assert code == 69 and "the supervisor went away" in err


def test_events_read_like_a_story(canned):
    canned.answers = {"GET /api/v1/events": (200, {"last": 42, "oldest": 1, "missed": 0, "events": EVENTS}),
                      "GET /api/v1/events?limit=1": (200, {"last": 42, "oldest": 1, "missed": 0, "events": EVENTS[1:]})}
    done = canned.cli("events")
    assert done.code == 0
    assert done.out == ("2026-11-24T03:10:45.123Z  info   worker:api            ready: its readiness check passed\n"
                        "2026-11-24T03:10:46.000Z  warn   pod                   lame duck\n")
    assert [json.loads(text) for text in canned.cli("events", "--json").out.splitlines()] == EVENTS
    assert canned.cli("events", "-n", "1").out.count("\n") == 1


def test_events_are_followed(canned, processes):
    hold = threading.Event()

    def nothing_more(_):
        hold.wait(60)
        return 200, {"last": 42, "missed": 0, "events": []}
    canned.answers = {"GET /api/v1/events": (200, {"last": 41, "missed": 3, "events": EVENTS[:1]}),
                      "GET /api/v1/events?after=41&wait=30": (200, {"last": 42, "missed": 0, "events": EVENTS[1:]}),
                      "GET /api/v1/events?after=42&wait=30": nothing_more}
    processes.append(canned.start("events", "-f", "--json"))
    got = read_until(processes[0].stdout, b'"seq":42')
    assert b'"seq":41' in got
    wait_until("it waits for more", lambda: canned.asked[-1].endswith("after=42&wait=30"))
    processes[0].send_signal(signal.SIGINT)  # in the middle of a long poll: it ends at once, not with the poll
    code, _, err = ended(processes[0])
    hold.set()
    assert code == 0 and err == "podvisor events: 3 events were forgotten before they could be shown\n"


def test_a_supervisor_that_counts_anew_is_followed_from_its_start(canned, processes):
    first, second = dict(EVENTS[0], seq=90), dict(EVENTS[0], seq=2)
    canned.answers = {"GET /api/v1/events": (200, {"last": 90, "missed": 0, "events": [first]}),
                      "GET /api/v1/events?after=90&wait=30": (200, {"last": 2, "missed": 0, "events": []}),
                      "GET /api/v1/events?after=0&wait=30": (200, {"last": 2, "missed": 0, "events": [second]}),
                      "GET /api/v1/events?after=2&wait=30": (200, None)}
    processes.append(canned.start("events", "-f", "--json"))
    read_until(processes[0].stdout, b'"seq":2,')
    code, _, err = ended(processes[0])
    assert code == 69 and "the supervisor went away" in err


def test_a_follower_whose_reader_is_gone_ends(canned, processes):
    canned.answers = {"GET /api/v1/logs": lambda _: found(logged(1))}
    processes.append(canned.start("logs", "-f"))
    read_until(processes[0].stdout, b"\n")
    processes[0].stdout.close()
    assert processes[0].wait(30 * SLOWER) in (70, -signal.SIGPIPE)
    processes[0].stdout = None


# ---- with a real podvisor ----

def shell(script):
    return ["/bin/sh", "-c", script]


WORKERS = {
    "api": {"command": shell("echo hello from api; exec sleep 1000"), "critical": True},
    "indexer": {"command": shell("i=0; while :; do i=$((i+1)); echo block $i; sleep 0.05; done"), "depends_on": ["api"]},
    "migrate": {"command": shell("exit 3"), "kind": "task", "restart": {"policy": "never"}},
}


@pytest.fixture
def pod(podvisor):
    pod = podvisor({"workers": WORKERS})
    pod.wait_worker("indexer", state="ready")
    pod.wait_worker("migrate", state="failed")
    return pod


def following(pod, *words):
    return subprocess.Popen([PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env={**os.environ, "PODVISOR_SOCKET": pod.socket})


def test_status_shows_what_runs(pod):
    done = pod.cli("status")
    assert done.code == 0 and done.err == ""
    api = pod.worker("api")
    assert re.search(rf"^api +ready +\d+s +\d+s +{api['pid']} +0 ", done.out, re.M)
    assert re.search(r"^migrate +failed .*exited with code 3", done.out, re.M)
    told = json.loads(pod.cli("status", "--json").out)
    assert {w["name"] for w in told["workers"]} == set(WORKERS)
    assert pod.stop() == 0


def test_a_restart_has_another_pid_when_it_returns(pod):
    before = pod.worker("api")
    done = pod.cli("restart", "api")
    after = pod.worker("api")
    assert done.code == 0 and done.out == f"api: ready, pid {after['pid']}\n"
    assert after["pid"] != before["pid"] and after["state"] == "ready"


def test_stop_and_start_wait_for_what_depends_on_each_other(pod):
    done = pod.cli("stop", "api", "indexer")
    assert done.code == 0, done
    for name in "api", "indexer":
        worker = pod.worker(name)
        assert (worker["state"], worker["pid"]) == ("stopped", None)
    assert pod.cli("probe", "ready").code == 1
    done = pod.cli("start", "indexer", "api")
    assert done.code == 0, done
    assert pod.worker("indexer")["state"] == "ready"
    assert pod.cli("probe", "ready").code == 0


def test_no_wait_returns_before_it_is_done(podvisor):
    pod = podvisor({"workers": {"slow": {"command": shell("trap 'sleep 2; exit' TERM; while :; do sleep 0.05; done")}}})
    pod.wait_worker("slow", state="ready")
    done = pod.cli("stop", "slow", "--no-wait")
    assert done.code == 0 and done.out.startswith("slow: stopping")
    pod.wait_worker("slow", state="stopped")


def test_a_worker_that_fails_when_started_is_1(pod):
    done = pod.cli("start", "migrate")
    assert done.code == 1 and done.out.startswith("migrate: failed, exited with code 3")
    done = pod.cli("start", "migrat")
    assert done.code == 1 and 'did you mean "migrate"?' in done.err


def test_what_cannot_start_is_told_with_its_reason_and_not_waited_for(podvisor):
    """Ten minutes are what the command would wait; the test's own patience is less."""
    late = {"restart": {"backoff": {"initial": "1h", "max": "1h"}}}
    pod = podvisor({"workers": {"wrong": {"command": ["/nonexistent/program"], **late},
                                "fails": {"command": shell("sleep 0.3; exit 3"), "kind": "task", **late},
                                "after": {"command": shell("exec sleep 1000"), "depends_on": ["between"]},
                                "between": {"command": shell("exec sleep 1000"), "depends_on": ["gone"]},
                                "gone": {"command": shell("exit 4"), "kind": "task", "restart": {"policy": "never"}}}})
    pod.wait_worker("gone", state="failed")
    for name in "wrong", "fails":
        pod.wait_worker(name, state="backoff")
    for name, told in (("wrong", "wrong: backoff, could not start: cannot execute /nonexistent/program: No such file"),
                       ("fails", "fails: backoff, exited with code 3"),
                       ("after", "after: waiting, worker:between is waiting")):
        done = pod.cli("start", name, seconds=60)
        assert done.code == 1 and done.out.startswith(told), done
        assert done.err.endswith(f"podvisor start: {name} has not come up; podvisor goes on trying\n"), done
    done = pod.cli("restart", "wrong", seconds=60)
    assert done.code == 1 and "No such file" in done.out, done
    done = pod.cli("start", "gone", seconds=60)
    assert done.code == 1 and done.err.endswith("podvisor start: gone did not come up\n"), done
    assert pod.stop() == 0


def test_logs_of_real_workers(pod):
    done = pod.cli("logs", "api")
    assert [json.loads(text)["msg"] for text in done.out.splitlines() if '"stream"' in text] == ["hello from api"]
    pod.wait_log(worker="indexer", msg="block 5")
    assert pod.cli("logs", "-n", "3", "indexer").out.count("\n") == 3
    assert '"api"' in pod.cli("logs", "-n", "10000").out  # the indexer goes on writing
    assert pod.cli("logs", "nobody").code == 1


def test_real_logs_are_followed_without_a_gap(pod, processes):
    processes.append(following(pod, "logs", "-f", "indexer"))
    got = read_until(processes[0].stdout, b'"block 40"').decode()
    processes[0].send_signal(signal.SIGINT)
    code, _, err = ended(processes[0])
    assert (code, err) == (0, "")
    numbers = [int(n) for n in re.findall(r'"block (\d+)"', got)]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))


def test_real_events_are_followed_as_they_happen(pod, processes):
    processes.append(following(pod, "events", "-f", "--json"))
    read_until(processes[0].stdout, b'"failed"')
    pod.cli("restart", "api")
    got = read_until(processes[0].stdout, b'"what":"ready"').decode()
    assert all(json.loads(text)["seq"] for text in got.splitlines() if text.endswith("}"))
    processes[0].send_signal(signal.SIGINT)
    assert ended(processes[0])[0] == 0
    assert "worker:api" in pod.cli("events").out


@pytest.mark.parametrize("words", [["logs", "-f"], ["events", "-f"]])
def test_a_follower_ends_with_69_when_podvisor_ends(pod, processes, words):
    processes.append(following(pod, *words))
    read_until(processes[0].stdout, b"api")
    assert pod.stop() == 0
    code, _, err = ended(processes[0])
    assert code == 69 and "podvisor" in err and err.count("\n") == 1


def test_a_real_reload(pod):
    assert pod.cli("reload").out == "nothing changed\n"
    api, indexer = pod.worker("api"), pod.worker("indexer")
    changed = json.loads(json.dumps(pod.config))
    changed["workers"]["indexer"]["env"] = {"A": "b"}
    pod.write_config(changed)
    del changed["workers"]["migrate"]
    changed["workers"]["new"] = {"command": ["/bin/sleep", "1000"]}
    pod.write_config(changed)
    expected = "~ worker indexer: +env.A; restarts\n+ worker new\n- worker migrate\n"
    done = pod.cli("reload", "--dry-run")
    assert (done.code, done.out) == (0, expected)
    assert pod.worker("indexer")["run"] == indexer["run"]
    done = pod.cli("reload")
    assert (done.code, done.out) == (0, expected)
    pod.wait_log(msg="~ worker indexer: +env.A; restarts")
    wait_until("indexer runs anew", lambda: pod.worker("indexer")["run"] > indexer["run"])
    assert pod.worker("api")["pid"] == api["pid"]


def test_a_real_reload_that_is_refused_changes_nothing(pod):
    api = pod.worker("api")
    pod.write_config('{ "workers": { "api": { "comand": ["x"] } } }')
    done = pod.cli("reload")
    assert done.code == 78
    assert re.search(rf'^{re.escape(str(pod.config_file))}:1:\d+: workers\.api\.comand: ', done.err, re.M)
    assert pod.worker("api")["pid"] == api["pid"]


def test_what_check_warns_of_a_reload_warns_of_too(pod):
    changed = json.loads(json.dumps(pod.config))
    changed["workers"]["indexer"]["stop"] = {"timeout": "10m"}
    pod.write_config(changed)
    warned = pod.cli("check", "-c", pod.config_file).err
    assert "workers.indexer.stop.timeout: warning: " in warned
    asked = pod.cli("reload", "--dry-run", "--json")
    assert (asked.code, "".join(f"{line}\n" for line in json.loads(asked.out)["warnings"])) == (0, warned)
    for words in ["reload", "--dry-run"], ["reload"]:
        done = pod.cli(*words)
        assert (done.code, done.err) == (0, warned) and done.out.startswith("~ worker indexer: stop.timeout")
    pod.wait_log(level="warn", msg="workers.indexer.stop.timeout: warning: ")


def test_a_dry_run_of_what_a_reload_refuses_is_refused(pod):
    pod.write_config({**pod.config, "volumes": {"v": {"path": "/tmp", "size": "1Mi", "mount": "any"}}})
    for words in ["reload", "--dry-run"], ["reload"]:
        done = pod.cli(*words)
        assert (done.code, done.out) == (78, "") and "volumes cannot change" in done.err


def test_a_real_watch_survives_a_restart_of_podvisor(podvisor, directory, processes):
    socket_path = os.path.join(directory, "control.sock")
    config = {"control": {"socket": socket_path}, "workers": {"a": {"command": ["/bin/sleep", "1000"]}}}
    pod = podvisor(config)
    pod.wait_worker("a", state="ready")
    processes.append(following(pod, "status", "--watch", "--json"))
    read_until(processes[0].stdout, f'"pid":{pod.pid},'.encode())
    assert pod.stop() == 0
    pod = podvisor(config)
    read_until(processes[0].stdout, f'"pid":{pod.pid},'.encode())
    assert pod.stop() == 0


def test_a_real_drain_and_back(pod):
    done = pod.cli("drain", "--wait")
    assert done.code == 0 and done.out.startswith("drain: drained")
    assert pod.cli("probe", "ready").code == 1
    assert pod.cli("probe", "live").code == 0
    done = pod.cli("undrain")
    assert (done.code, done.out) == (0, "drain: serving\n")
    assert pod.cli("probe", "ready").code == 0


def test_real_probes(pod):
    for name in "live", "ready", "startup":
        done = pod.cli("probe", name)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("ok")
    pod.cli("stop", "api")
    done = pod.cli("probe", "ready")
    assert done.code == 1 and "worker:api" in done.out
    assert pod.cli("probe", "startup").code == 0


def test_the_commands_find_a_socket_that_fell_back(podvisor, directory):
    if os.path.exists("/run/podvisor/control.sock"):
        pytest.skip("a podvisor of this machine's own answers at a default socket")
    blocked = os.path.join(directory, "file")
    open(blocked, "w").close()
    env = {"XDG_RUNTIME_DIR": directory}
    pod = podvisor({"control": {"socket": blocked + "/control.sock"}, "workers": {"a": {"command": ["/bin/sleep", "1000"]}}}, env=env)
    wait_until("it answers", lambda: os.path.exists(os.path.join(directory, "podvisor", "control.sock")))
    done = cli("status", "--json", env=env)
    assert done.code == 0 and json.loads(done.out)["pid"] == pod.pid
    assert pod.stop() == 0
    assert not os.path.exists(os.path.join(directory, "podvisor", "control.sock"))


# ---- completion, the man page, the book ----

def complete(words, socket_path, cwd=None):
    """What bash offers behind these words, the last of which is being written."""
    script = ('source <("$1" completion bash); shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _podvisor; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script, "bash", PROGRAM, PROGRAM, *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=30 * SLOWER, cwd=cwd,
                          env={**os.environ, "PODVISOR_SOCKET": socket_path})
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.split()


@pytest.fixture
def two_workers(canned):
    several = [{**WORKER, "name": f"web.{i}", "worker": "web"} for i in range(2)]
    canned.answers = {"GET /api/v1/workers": (200, {"workers": [WORKER, *several], "browsers": [BROWSER]})}
    return canned


@pytest.mark.parametrize("words, offered", [
    (["st"], ["status", "start", "stop"]),
    (["undr"], ["undrain"]),
    (["status", "--w"], ["--watch"]),
    (["status", "--color", ""], ["auto", "always", "never"]),
    (["status", "--color", "=", "n"], ["never"]),
    (["status", "--color", "="], ["auto", "always", "never"]),
    (["restart", ""], ["api", "web", "web.0", "web.1", "chrome"]),
    (["restart", "api", "we"], ["web", "web.0", "web.1"]),
    (["logs", "-n", ""], []),
    (["logs", "-n", "3", "ch"], ["chrome"]),
    (["logs", "--", "-"], []),
    (["probe", ""], ["live", "ready", "startup"]),
    (["help", "re"], ["restart", "reload"]),
    (["completion", ""], ["bash"]),
    (["version", ""], []),
    (["nothing", ""], []),
    (["run", "--c"], ["--config"]),
    (["run", ""], ["--"]),
])
def test_words_are_completed(two_workers, words, offered):
    assert complete(words, two_workers.path) == offered


def test_files_and_programs_are_completed(two_workers, directory):
    for name in "podvisor.json", "other":
        open(os.path.join(directory, name), "w").close()
    for words in ["check", "-c", "pod"], ["check", "--config", "=", "pod"], ["run", "--", "cat", "pod"], ["run", "-c", "pod"]:
        assert complete(words, two_workers.path, directory) == ["podvisor.json"]
    assert "cat" in complete(["run", "--", "ca"], two_workers.path)


def test_names_are_asked_at_the_socket_that_was_named(two_workers, directory):
    nobody = os.path.join(directory, "nobody")
    for option in ["--socket", two_workers.path], ["--socket", "=", two_workers.path]:
        assert "chrome" in complete(["stop", *option, ""], nobody)
    assert complete(["stop", ""], nobody) == []
    done = cli("completion", "names", socket_path=nobody)
    assert (done.code, done.out, done.err) == (69, "", "")


def test_a_name_of_a_worker_is_no_program(two_workers, directory):
    """Nor an expansion: compgen -W would run $(...) in its words."""
    mark = os.path.join(directory, "mark")
    evil = {**WORKER, "name": f"$(touch${{IFS}}{mark})", "worker": f"$(touch${{IFS}}{mark})"}
    two_workers.answers = {"GET /api/v1/workers": (200, {"workers": [evil, WORKER], "browsers": []})}
    assert "api" in complete(["restart", ""], two_workers.path)
    assert not os.path.exists(mark)


def test_the_man_page_and_the_book_are_what_the_table_says():
    done = subprocess.run([ROOT / "docs/man/generate", PROGRAM, "--check"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_man_page_is_without_a_complaint_and_tells_every_command():
    page = ROOT / "docs/man/podvisor.1"
    done = subprocess.run(["groff", "-ww", "-man", "-Tascii", "-P-cbou", "-rLL=200n", page], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    for verb in VERBS:
        assert re.search(rf"^ +podvisor {verb}\b", done.stdout, re.M)
        for option in re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", cli(verb, "--help").out, re.M):
            assert option in done.stdout


def test_what_is_installed_can_be_used(directory):
    done = subprocess.run(["make", "-C", ROOT, "-o", "all", "install", f"BUILD={os.path.dirname(os.environ.get('PODVISOR_SHIM', PROGRAM))}", f"DESTDIR={directory}", "PREFIX=/usr"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={k: v for k, v in os.environ.items() if not k.startswith("MAKE")})
    assert done.returncode == 0, done.stdout
    usr = pathlib.Path(directory, "usr")
    assert sorted(str(file.relative_to(usr)) for file in usr.rglob("*") if file.is_file()) == [
        "bin/podvisor", "libexec/podvisor/podvisor-shim", "share/bash-completion/completions/podvisor", "share/man/man1/podvisor.1"]
    installed = subprocess.run([usr / "bin/podvisor", "completion", "bash"], stdout=subprocess.PIPE).stdout
    assert (usr / "share/bash-completion/completions/podvisor").read_bytes() == installed
