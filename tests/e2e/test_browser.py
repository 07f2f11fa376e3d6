"""A supervised Chrome behind its stable address, used as its users use it: with Puppeteer."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PODVISOR = os.environ.get("PODVISOR", str(ROOT / "build" / "podvisor"))

pytestmark = [
    pytest.mark.skipif(not os.access(PODVISOR, os.X_OK), reason=f"{PODVISOR} is not built"),
    pytest.mark.skipif(not shutil.which("chromium-headless-shell"), reason="chromium-headless-shell is not installed"),
]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def await_true(what, condition, seconds=60):
    """The condition's first true value; another program's state can only be asked for again."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except OSError:
            value = None
        if value:
            return value
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


def processes_in(text):
    """Pids of the processes that began in a directory below text, or name it."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace")
            if text in line or text in os.readlink(entry / "cwd"):
                found.append(int(entry.name))
        except OSError:
            pass
    return found


class Browser:
    def __init__(self, tmp_path, modules):
        self.disk = tmp_path / "disk"
        self.disk.mkdir()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.modules = modules
        config = {
            "instance": "e2e",
            "control": {"listen": f"127.0.0.1:{free_port()}", "socket": str(tmp_path / "control.sock")},
            "shutdown": {"deadline": "20s", "termination_log": str(tmp_path / "termination-log")},
            "volumes": {"disk": {"path": str(self.disk), "size": "1Gi", "mount": "any"}},
            "browsers": {"chrome": {"listen": f"127.0.0.1:{self.port}", "volume": "disk", "health": {
                "browser": {"interval": "500ms", "timeout": "1s"}, "renderer": {"interval": "2s", "timeout": "4s"}}}},
        }
        path = tmp_path / "podvisor.json"
        path.write_text(json.dumps(config))
        self.log = tmp_path / "log"
        with open(self.log, "wb") as out:
            self.process = subprocess.Popen([PODVISOR, "run", "-c", str(path)], stdout=out, stderr=subprocess.STDOUT)

    def version(self):
        with urllib.request.urlopen(self.url + "/json/version", timeout=15) as answer:
            return json.load(answer)

    def main_pid(self):
        """Of Chrome's browser process; None while there is none."""
        for pid in processes_in(str(self.disk)):
            try:
                argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").split()
            except OSError:
                continue
            if b"--remote-debugging-pipe" in argv and not any(a.startswith(b"--type=") for a in argv) \
                    and b"podvisor-shim" not in argv[0]:
                return pid
        return None

    def puppeteer(self, script, *args):
        """Runs the body of an async function that has puppeteer, url and args; returns what it returns."""
        text = ("const puppeteer = require('puppeteer-core'); const [url, ...args] = process.argv.slice(1);"
                f"(async () => {{ {script} }})().then(v => console.log(JSON.stringify(v ?? null)),"
                "e => { console.error(e); process.exit(1); });")
        done = subprocess.run(["node", "-e", text, self.url, *args], capture_output=True, text=True, timeout=90,
                              env={**os.environ, "NODE_PATH": str(self.modules)})
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@pytest.fixture
def browser(tmp_path, browser_modules):
    one = Browser(tmp_path, browser_modules)
    try:
        await_true("Chrome answers", one.version)
        yield one
        assert one.stop() == 0
        assert processes_in(str(one.disk)) == []
        assert list(one.disk.rglob("*")) == []
    finally:
        if one.process.poll() is None:
            one.stop()
        if sys.exc_info()[0]:
            sys.stderr.write(one.log.read_text(errors="replace"))


def test_puppeteer_scrapes_through_the_stable_address(browser):
    got = browser.puppeteer("""
        const b = await puppeteer.connect({ browserURL: url });
        const p = await b.newPage();
        await p.goto('data:text/html,<h1>markets</h1>');
        const text = await p.$eval('h1', e => e.textContent);
        const shot = await p.screenshot();
        await p.close(); await b.disconnect();
        return [text, shot.length > 500];""")
    assert got == ["markets", True]


def test_a_remembered_endpoint_reconnects_after_chrome_was_killed(browser):
    before = browser.version()["webSocketDebuggerUrl"]
    old = await_true("a Chrome", browser.main_pid)
    generation = os.readlink(f"/proc/{old}/cwd")
    got = browser.puppeteer("""
        const b = await puppeteer.connect({ browserWSEndpoint: args[0] });
        const cut = new Promise(r => b.on('disconnected', () => r(true)));
        process.kill(Number(args[1]), 'SIGKILL');
        await cut;
        for (;;) { /* the old Chrome may still be dying while it accepts */
            try {
                const again = await puppeteer.connect({ browserWSEndpoint: args[0] });
                const p = await again.newPage();
                const sum = await p.evaluate('20 + 22');
                await again.disconnect();
                return sum;
            } catch (e) { if (!/closed|ECONN|socket hang up|500|503/i.test(String(e?.message ?? e))) throw e; }
        }""", before, str(old))
    assert got == 42
    assert browser.version()["webSocketDebuggerUrl"] == before
    await_true("another Chrome", lambda: browser.main_pid() not in (None, old))
    assert not os.path.exists(generation)
    assert processes_in(generation) == []


def test_a_stopped_chrome_is_replaced(browser):
    old = await_true("a Chrome", browser.main_pid)
    os.kill(old, signal.SIGSTOP)
    await_true("another Chrome", lambda: browser.main_pid() not in (None, old))
    assert browser.puppeteer("""
        const b = await puppeteer.connect({ browserURL: url });
        const p = await b.newPage(); const sum = await p.evaluate('1 + 1'); await b.disconnect(); return sum;""") == 2


def test_nothing_of_chrome_outlives_a_podvisor_that_is_killed(tmp_path, browser_modules):
    one = Browser(tmp_path, browser_modules)
    await_true("Chrome answers", one.version)
    await_true("the processes of Chrome", lambda: len(processes_in(str(one.disk))) > 3)
    one.process.kill()
    one.process.wait(10)
    await_true("every process is gone", lambda: not processes_in(str(one.disk)))
