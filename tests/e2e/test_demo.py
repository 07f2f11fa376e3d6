"""The whole stack on real parts: PostgreSQL, Chrome, Node.js, tmpfs, Prometheus.

One demo runs for all tests of this file, in their order; the last one ends it.
"""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("PODVISOR", ROOT / "build" / "podvisor")).resolve().parent
PORTS = ["GATEWAY", "CONTROL", "API", "CHROME", "POSTGRES"]


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def await_true(what, condition, seconds=60):
    """The condition's first true value. Polls a condition of another program, with a deadline."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except (OSError, ValueError, KeyError, StopIteration):
            value = None
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        select_pause()


def select_pause():
    import select
    select.select([], [], [], 0.05)


def children_of(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    direct = [int(word) for word in text.split()]
    return direct + [below for child in direct for below in children_of(child)]


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


class Demo:
    def __init__(self):
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="pv-demo-", dir="/tmp"))
        os.chmod(self.state, 0o755)
        self.ports = dict(zip(PORTS, free_ports(len(PORTS))))
        self.log = open(self.state / "log", "wb")
        self.env = dict(os.environ, BUILD=str(BUILD), PODVISOR_DEMO_DIR=str(self.state),
                        **{f"PODVISOR_DEMO_{name}_PORT": str(port) for name, port in self.ports.items()})
        self.process = subprocess.Popen([str(ROOT / "examples/demo/run"), "--as-is"], env=self.env, stdout=self.log,
                                        stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)

    def url(self, name, path):
        return f"http://127.0.0.1:{self.ports[name]}{path}"

    def get(self, path, name="CONTROL"):
        with urllib.request.urlopen(self.url(name, path), timeout=10) as answer:
            return answer.read().decode()

    def code(self, path, name="CONTROL"):
        try:
            with urllib.request.urlopen(self.url(name, path), timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def status(self):
        return json.loads(self.get("/api/v1/status"))

    def worker(self, name):
        return next(w for w in self.status()["workers"] if w["name"] == name)

    def browser(self):
        return self.status()["browsers"][0]

    def is_whole(self):
        status = self.status()
        return (status["ready"] and all(w["available"] for w in status["workers"])
                and all(b["available"] for b in status["browsers"]))

    def await_whole(self, seconds=60):
        assert self.process.poll() is None, self.tail()
        try:
            await_true("the stack is ready", self.is_whole, seconds)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{self.tail()}") from None

    def tail(self):
        return "\n".join((self.state / "log").read_text(errors="replace").splitlines()[-60:])

    def sql(self, statement):
        dsn = (self.state / "database-url").read_text().strip()
        return subprocess.run(["psql", "-XAtq", dsn, "-c", statement], check=True, timeout=20, text=True,
                              capture_output=True).stdout.strip()

    def count(self, table):
        return int(self.sql(f"select count(*) from {table}"))

    def events(self, after):
        return json.loads(self.get(f"/api/v1/events?after={after}"))["events"]

    def websocket(self, count, timeout=60):
        return subprocess.Popen(["node", str(ROOT / "examples/backend/tools/ws-client.js"), "--count", str(count),
                                 "--timeout", str(timeout), f"ws://127.0.0.1:{self.ports['GATEWAY']}/ws"],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def leftovers(self):
        """Processes and mounts that have to do with this demo."""
        mark = str(self.state).encode()
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            except OSError:
                continue
            if mark in text:
                found.append(command_line(entry.name))
        found += [line for line in pathlib.Path("/proc/mounts").read_text().splitlines() if str(self.state) in line]
        return found

    def end(self):
        for pid in [self.process.pid] + children_of(self.process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        self.process.wait()
        self.log.close()
        subprocess.run(f"umount -l {self.state}/chrome {self.state}/tmp 2>/dev/null", shell=True, check=False)
        shutil.rmtree(self.state, ignore_errors=True)


@pytest.fixture(scope="module")
def demo():
    stack = Demo()
    try:
        stack.await_whole(120)
        yield stack
    finally:
        stack.end()


def test_the_stack_gets_ready_and_works(demo):
    assert demo.code("/readyz") == 200
    assert demo.code("/livez") == 200
    assert demo.code("/startupz") == 200
    blocks, valuations = demo.count("blocks"), demo.count("valuations")
    await_true("blocks grow", lambda: demo.count("blocks") > blocks)
    await_true("valuations grow", lambda: demo.count("valuations") > valuations)
    assert "<" in demo.get("/markets", "GATEWAY")


def test_a_websocket_client_on_the_gateway_receives_valuations(demo):
    client = demo.websocket(3)
    out, _ = client.communicate(timeout=70)
    assert client.returncode == 0, out
    assert json.loads(out.splitlines()[-1])["messages"] >= 3


def test_promtool_accepts_the_metrics_without_a_warning(demo):
    check = subprocess.run(["promtool", "check", "metrics"], input=demo.get("/metrics"), text=True, timeout=30,
                           capture_output=True)
    assert check.returncode == 0, check.stdout + check.stderr
    assert check.stderr.strip() == ""


def test_a_real_prometheus_scrapes_it(demo):
    port, = free_ports(1)
    config = demo.state / "prometheus.yml"
    config.write_text(f"scrape_configs:\n- job_name: podvisor\n  scrape_interval: 1s\n  static_configs:\n"
                      f"  - targets: ['127.0.0.1:{demo.ports['CONTROL']}']\n")
    prometheus = subprocess.Popen(["prometheus", f"--config.file={config}", f"--web.listen-address=127.0.0.1:{port}",
                                   f"--storage.tsdb.path={demo.state}/prometheus"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        def sees():
            query = "http://127.0.0.1:%d/api/v1/query?query=podvisor_worker_ready{worker=%%22api%%22}" % port
            with urllib.request.urlopen(query, timeout=5) as answer:
                result = json.loads(answer.read())["data"]["result"]
            return result and result[0]["value"][1] == "1"
        await_true("Prometheus sees the api worker ready", sees)
    finally:
        prometheus.kill()
        prometheus.wait()


def test_a_database_that_is_killed_comes_back_and_is_told(demo):
    seen = demo.status()["last_event"]
    before = demo.worker("postgres")
    old = children_of(before["pid"])
    os.kill(before["pid"], signal.SIGKILL)
    await_true("a new postmaster", lambda: demo.worker("postgres")["run"] > before["run"])
    demo.await_whole()
    assert not [pid for pid in old if is_alive(pid)]
    after = demo.worker("postgres")
    assert after["last_exit"]["signal"] == 9
    assert after["restarts_by_reason"]["signal"] >= 1
    assert [e for e in demo.events(seen) if e["thing"] == "postgres"], "the watch did not notice"
    valuations = demo.count("valuations")
    await_true("valuations grow again", lambda: demo.count("valuations") > valuations)


@pytest.mark.parametrize("name", ["api", "indexer", "valuation"])
def test_a_worker_that_is_killed_is_replaced_without_a_trace(demo, name):
    before = demo.worker(name)
    old = children_of(before["pid"])
    os.kill(before["pid"], signal.SIGKILL)
    await_true("a new run", lambda: demo.worker(name)["run"] > before["run"])
    demo.await_whole()
    assert not [pid for pid in old if is_alive(pid)]
    after = demo.worker(name)
    assert after["last_exit"]["text"] == "killed by SIGKILL"
    assert f'podvisor_worker_restarts_total{{worker="{name}",reason="signal"}}' in demo.get("/metrics")


@pytest.mark.parametrize("name", ["postgres", "api", "valuation"])
def test_a_shim_that_is_killed_takes_nothing_along_but_its_worker(demo, name):
    before = demo.worker(name)
    shim = int(pathlib.Path(f"/proc/{before['pid']}/stat").read_text().rsplit(")", 1)[1].split()[1])
    assert "podvisor-shim" in command_line(shim)
    old = children_of(shim)
    os.kill(shim, signal.SIGKILL)
    await_true("a new run", lambda: demo.worker(name)["run"] > before["run"])
    demo.await_whole()
    assert not [pid for pid in old if is_alive(pid)]


def test_a_browser_that_is_killed_is_replaced_without_a_trace(demo):
    before = demo.browser()
    old = children_of(before["pid"])
    os.kill(before["pid"], signal.SIGKILL)
    await_true("a new generation", lambda: demo.browser()["generation"] > before["generation"])
    demo.await_whole()
    assert not [pid for pid in old if is_alive(pid)]
    chrome = demo.state / "chrome"
    generation = demo.browser()["generation"]
    names = await_true("the old directory is gone", lambda: [p.name for p in chrome.glob("chrome/chrome/*")] ==
                       [f"g{generation}"] and [f"g{generation}"])
    assert names == [f"g{generation}"]
    valuations = demo.count("valuations")
    await_true("valuations grow again", lambda: demo.count("valuations") > valuations)
    assert 'podvisor_browser_recycles_total{browser="chrome",reason="crashed"}' in demo.get("/metrics")


def test_a_renderer_that_is_killed_does_not_end_the_browser(demo):
    before = demo.browser()
    # A child of the zygote has the zygote's name until it takes its own.
    renderers = await_true("renderers", lambda: [pid for pid in children_of(before["pid"]) if "--type=renderer" in command_line(pid)])
    for pid in renderers:
        os.kill(pid, signal.SIGKILL)
    valuations = demo.count("valuations")
    await_true("valuations grow again", lambda: demo.count("valuations") > valuations)
    demo.await_whole()
    assert demo.browser()["pid"] == before["pid"]


def test_sigterm_ends_everything_in_order_and_leaves_nothing(demo):
    demo.await_whole()
    client = demo.websocket(1000000)
    assert "open" in client.stdout.readline()
    os.kill(demo.process.pid, signal.SIGTERM)
    assert demo.process.wait(timeout=40) == 0, demo.tail()
    out, _ = client.communicate(timeout=10)
    last = json.loads(out.splitlines()[-1])
    assert (last["event"], last["code"]) == ("close", 1012), out[-2000:]
    assert demo.leftovers() == []
    assert not (demo.state / "control.sock").exists()
    assert list((demo.state / "chrome").iterdir()) == []
    assert list((demo.state / "tmp").iterdir()) == []


def test_kill_9_of_podvisor_leaves_no_worker():
    stack = Demo()
    try:
        stack.await_whole(120)
        below = children_of(stack.process.pid)
        assert len(below) > 10
        os.kill(stack.process.pid, signal.SIGKILL)
        stack.process.wait()
        await_true("nothing is left", lambda: not [pid for pid in below if is_alive(pid)], 10)
    finally:
        stack.end()
