"""The life of a supervised Chrome: what it may suffer, which part is blamed, and that nothing of it is left.

PODVISOR_KILLS=100 and PODVISOR_SWAPS=20 do it as often as the contract says; without them it is done less often."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import pytest

from podvisor import PROGRAM, SLOWER, free_port, wait_until
from test_browser import modules  # noqa: F401 (a fixture)

KILLS = int(os.environ.get("PODVISOR_KILLS", "8"))
SWAPS = int(os.environ.get("PODVISOR_SWAPS", "2"))
SEED = int(os.environ.get("PODVISOR_SEED", "0")) or random.randrange(1 << 30)
QUICK = {"browser": {"interval": "500ms", "timeout": "1s"}, "renderer": {"interval": "2s", "timeout": "5s"},
         "network": {"interval": "4s", "timeout": "5s"}}

pytestmark = pytest.mark.skipif(not shutil.which("chromium-headless-shell"),
                                reason="chromium-headless-shell is not installed")


class Chrome:
    """One browser of a podvisor, seen from outside."""

    def __init__(self, start, size="2Gi", mount="any", wait=True, wrapper=(), below="", **keys):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = {"volumes": {"ram": {"path": "{dir}", "size": size, "mount": mount}},
                  "browsers": {"chrome": {"listen": f"127.0.0.1:{self.port}", "volume": "ram", "health": QUICK, **keys}}}
        directory = pathlib.Path("/dev/shm" if mount == "any" else "/tmp") / f"podvisor-life-{os.getpid()}-{self.port}{below}"
        self.disk = directory
        directory.mkdir(mode=0o1777)
        config["volumes"]["ram"]["path"] = str(directory)
        self.pod = start(config, wrapper=wrapper)
        if wait:
            self.wait_generation(1)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        code = self.pod.stop(60) if self.pod.process.poll() is None else None
        left = self.processes()
        shutil.rmtree(self.disk, ignore_errors=True)
        if kind is None:
            assert code == 0
            assert left == []

    # what podvisor says

    def state(self):
        return self.pod.status()["browsers"][0]

    def metric(self, name, **labels):
        total = None
        for line in self.pod.get("/metrics").text.splitlines():
            head, _, value = line.rpartition(" ")
            metric, _, rest = head.partition("{")
            if metric == f"podvisor_browser_{name}" and all(f'{k}="{v}"' in rest for k, v in labels.items()):
                total = (total or 0) + float(value)
        return total

    def wait_generation(self, at_least, seconds=90):
        """Until one with at least this number serves; what the API says then."""
        def there():
            b = self.state()
            return b if b["available"] and b["generation"] >= at_least else None
        return self.pod.wait(f"generation {at_least} of Chrome", there, seconds)

    # what the kernel says

    def processes(self, generation=None):
        """Pids with their command lines of what began in, or names, the directory of a generation, or of any."""
        place = f"{self.disk}/chrome/chrome/g{generation if generation else ''}"
        found = []
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                line = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
                cwd = os.readlink(f"/proc/{entry}/cwd")
            except OSError:
                continue
            mine = (cwd + "/").startswith(place + "/") if generation else cwd.startswith(place)
            if (mine or place + ("/" if generation else "") in line) and "podvisor-shim" not in line:
                found.append(int(entry))
        return found

    def of_type(self, kind):
        """kind: browser, renderer, gpu-process, zygote, or a utility's sub type."""
        found = []
        for pid in self.processes():
            try:
                line = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
            except OSError:
                continue
            own = "browser" if "--type=" not in line else line.split("--type=")[1].split(" ")[0]
            if own == "utility":
                own = line.split("--utility-sub-type=")[1].split(" ")[0] if "--utility-sub-type=" in line else own
            if own == kind and (kind != "zygote" or self.is_of_the_browser(pid)):
                found.append(pid)
        return found

    def is_of_the_browser(self, pid):
        """Not what a zygote has just made, which is called like it until it knows what it is to be."""
        try:
            parent = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            return b"--type=" not in pathlib.Path(f"/proc/{parent}/cmdline").read_bytes()
        except OSError:
            return False

    def zombies(self):
        """Children of podvisor and of its shims that nobody has reaped."""
        parents, states = {}, {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    rest = pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                states[int(entry)], parents[int(entry)] = rest[0], int(rest[1])
        return [pid for pid, state in states.items() if state == "Z" and parents[pid] == self.pod.pid]

    def used(self):
        """Bytes below the browser's directory."""
        total = 0
        for path in self.disk.rglob("*"):
            try:
                total += path.lstat().st_blocks * 512
            except OSError:
                pass
        return total

    # what a client does

    def new_page(self, seconds=30):
        """Opens a page as a client does and closes it again."""
        import http.client

        def ask(method, target):
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds * SLOWER)
            try:
                c.request(method, target)
                answer = c.getresponse()
                return answer.status, answer.read()
            finally:
                c.close()
        status, body = ask("PUT", "/json/new?about:blank")
        if status != 200:
            return False
        return ask("GET", f"/json/close/{json.loads(body)['id']}")[0] == 200

    def node(self, node_modules, script, *args, seconds=120):
        """Runs the body of an async function that has puppeteer, url and args; returns what it returns."""
        text = ("const puppeteer = require('puppeteer-core'); const [url, ...args] = process.argv.slice(1);"
                f"(async () => {{ {script} }})().then(v => {{ console.log(JSON.stringify(v ?? null)); process.exit(0); }},"
                "e => { console.error(e); process.exit(1); });")
        done = subprocess.run(["node", "-e", text, self.url, *map(str, args)], capture_output=True, text=True,
                              timeout=seconds * SLOWER, env={**os.environ, "NODE_PATH": str(node_modules)})
        assert done.returncode == 0, done.stderr + self.pod.tail()
        return json.loads(done.stdout)


# ---- the fault matrix: which part is blamed, and what is left alone ----

def test_a_browser_that_is_stopped_is_hung(podvisor):
    with Chrome(podvisor) as chrome:
        os.kill(chrome.of_type("browser")[0], signal.SIGSTOP)
        chrome.wait_generation(2)
        assert chrome.metric("recycles_total", reason="hung") == 1
        assert chrome.processes(generation=1) == []
        assert chrome.metric("leftover_processes") == 0


def test_zygotes_that_are_gone_are_noticed_although_every_answer_is_good(podvisor):
    with Chrome(podvisor) as chrome:
        chrome.pod.wait("a census", lambda: chrome.metric("processes", type="zygote"))
        time.sleep(6)  # the next census is that of a Chrome that serves; nothing tells when it is taken
        for pid in chrome.of_type("zygote"):
            os.kill(pid, signal.SIGKILL)
        chrome.wait_generation(2)
        reasons = chrome.state()["recycles_by_reason"]
        assert reasons.get("zygote") == 1, reasons


def test_a_network_service_that_is_stopped_is_the_network(podvisor):
    with Chrome(podvisor) as chrome:
        os.kill(chrome.of_type("network.mojom.NetworkService")[0], signal.SIGSTOP)
        chrome.wait_generation(2)
        assert chrome.state()["recycles_by_reason"] == {"network": 1}


def test_a_gpu_process_that_is_stopped_is_the_gpu(podvisor):
    with Chrome(podvisor) as chrome:
        os.kill(chrome.of_type("gpu-process")[0], signal.SIGSTOP)
        chrome.wait_generation(2)
        assert chrome.state()["recycles_by_reason"] == {"gpu": 1}


def test_a_gpu_process_that_ends_again_and_again_is_replaced(podvisor):
    with Chrome(podvisor) as chrome:
        chrome.pod.wait("a census", lambda: chrome.metric("processes", type="gpu"))
        killed, end = set(), time.monotonic() + 60 * SLOWER
        while chrome.state()["generation"] == 1 and time.monotonic() < end:
            for pid in set(chrome.of_type("gpu-process")) - killed:
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)
            time.sleep(1.5)
        chrome.wait_generation(2)
        assert len(killed) >= 3
        reasons = chrome.state()["recycles_by_reason"]
        assert set(reasons) <= {"gpu", "crashed"} and reasons, reasons  # Chrome itself gives up after some


def test_a_clients_own_spinning_page_and_a_screenshot_in_the_background_blame_nobody(podvisor, modules):  # noqa: F811
    with Chrome(podvisor) as chrome:
        before = chrome.metric("check_seconds_count", rung="network")
        got = chrome.node(modules, """
            const b = await puppeteer.connect({ browserURL: url });
            const front = await b.newPage(), behind = await b.newPage(), spins = await b.newPage();
            spins.evaluate('while (true) ;').catch(() => 0);
            await front.bringToFront();
            behind.screenshot().catch(() => 0);
            await new Promise(r => setTimeout(r, 15000));
            return await front.evaluate('6 * 7');""")
        assert got == 42
        assert chrome.metric("check_seconds_count", rung="network") >= before + 2
        state = chrome.state()
        assert state["generation"] == 1 and state["recycles"] == 0
        assert all(check["misses"] == 0 for check in state["checks"])


needs_mount = pytest.mark.skipif(os.getuid() != 0, reason="a RAM disk of its own needs root")


def fill(path, leave):
    """Writes until so many bytes are free."""
    free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
    with open(path / "filler", "wb") as f:
        os.posix_fallocate(f.fileno(), 0, max(free - leave, 1))


@needs_mount
def test_without_room_on_its_ram_disk_it_does_not_start_and_says_so(podvisor):
    with Chrome(podvisor, size="48Mi", mount="create", wait=False) as chrome:
        entry = chrome.pod.wait_log(msg="its disk has")
        assert "MiB left" in entry["msg"]
        chrome.pod.wait("backoff", lambda: chrome.state()["state"] == "backoff")
        assert chrome.state()["recycles_by_reason"].get("disk", 0) >= 1
        assert chrome.processes() == []


@needs_mount
def test_a_ram_disk_that_it_fills_later_is_emptied_by_another_one(podvisor):
    with Chrome(podvisor, size="400Mi", mount="create", overlap={"disk": "16Mi"}) as chrome:
        generation = chrome.disk / "chrome/chrome/g1/tmp"
        time.sleep(7)  # until podvisor knows what was there before
        fill(generation, 30 << 20)
        chrome.wait_generation(2)
        assert chrome.state()["recycles_by_reason"] == {"disk": 1}
        assert not generation.exists()
        assert chrome.used() < 100 << 20


@pytest.mark.skipif(os.getuid() != 0, reason="another user's file needs root")
def test_a_lock_of_another_host_does_not_matter(podvisor):
    with Chrome(podvisor) as chrome:
        for number in (2, 3):  # where the next ones will be
            profile = chrome.disk / f"chrome/chrome/g{number}/profile"
            profile.mkdir(parents=True)
            os.symlink("oldpod-7", profile / "SingletonLock")
        os.kill(chrome.of_type("browser")[0], signal.SIGKILL)
        chrome.wait_generation(2)
        assert chrome.new_page()


class Group:
    """A memory cgroup with a limit, below our own, of either version."""

    def __init__(self, limit):
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            v1 = "memory" in controllers.split(",")
            place = pathlib.Path("/sys/fs/cgroup/memory" if v1 else "/sys/fs/cgroup") / path.lstrip("/")
            if v1 or (not controllers and (place / "cgroup.subtree_control").exists()
                      and "memory" in (place / "cgroup.subtree_control").read_text().split()):
                break
        else:
            pytest.skip("no memory cgroup can be made here")
        self.path = place / f"podvisor-life-{os.getpid()}"
        self.path.mkdir()
        (self.path / ("memory.limit_in_bytes" if v1 else "memory.max")).write_text(str(limit))

    def remove(self):
        def removed():
            try:
                self.path.rmdir()
                return True
            except OSError:
                return False
        wait_until("nothing is left in the cgroup", removed)


@needs_mount
def test_a_page_that_hits_the_memory_limit_goes_alone_and_is_told(podvisor, modules):  # noqa: F811
    group = Group(700 << 20)
    try:
        with Chrome(podvisor, wrapper=("sh", "-c", f'echo $$ > {group.path}/cgroup.procs && exec "$@"', "sh")) as chrome:
            got = chrome.node(modules, """
                const b = await puppeteer.connect({ browserURL: url });
                const leaks = await b.newPage(), other = await b.newPage();
                const lost = new Promise(r => leaks.on('error', e => r(String(e))));
                leaks.evaluate('window.kept = []; for (;;) kept.push(new Uint8Array(4 << 20).fill(1));').catch(() => 0);
                const how = await lost;
                return [how, await other.evaluate('6 * 7')];""")
            assert got[1] == 42, got
            entry = chrome.pod.wait_log(msg="the renderer of a client's page is gone")
            assert "target" in entry["msg"]
            assert chrome.state()["generation"] == 1 and chrome.state()["recycles"] == 0
            chrome.pod.wait("a census after it", lambda: chrome.metric("processes", type="renderer"))
    finally:
        group.remove()


# ---- blue and green ----

def test_a_swap_breaks_no_session_and_no_connect(podvisor, modules):  # noqa: F811
    with Chrome(podvisor, recycle={"pages": 8, "per_hour": 60}, drain="30s") as chrome:
        got = chrome.node(modules, """
            const swaps = Number(args[0]);
            const version = async () => (await (await fetch(url + '/json/version')).json()).webSocketDebuggerUrl;
            const endpoint = await version();
            const long = await puppeteer.connect({ browserWSEndpoint: endpoint });
            const kept = await long.newPage();
            await kept.evaluate('window.mark = 99');
            let connects = 0, cut = false;
            long.on('disconnected', () => cut = true);
            const state = async () => (await (await fetch(args[1])).json()).browsers[0];
            const first = (await state()).generation;
            const end = Date.now() + 100000;
            let marked = null;
            while ((await state()).generation < first + swaps && Date.now() < end) {
                const b = await puppeteer.connect({ browserWSEndpoint: endpoint });
                const p = await b.newPage();
                if (await p.evaluate('20 + 22') !== 42) throw new Error('wrong');
                await p.close(); await b.disconnect(); connects++;
                if (marked === null && (await state()).generation > first) marked = await kept.evaluate('window.mark');
            }
            const there = (await state()).generation;
            await long.disconnect();
            return [there - first, connects, marked, await version() === endpoint];""",
                          SWAPS, f"http://127.0.0.1:{chrome.pod.port}/api/v1/status")
        swaps, connects, marked, same = got
        assert swaps >= SWAPS and connects >= 8 * SWAPS / 2
        assert marked == 99  # a session that began before the swap, used after it
        assert same
        assert chrome.metric("recycles_total", reason="pages") >= SWAPS
        assert chrome.metric("swap_seconds_count") >= SWAPS
        assert chrome.metric("recycles_total", reason="crashed") == 0


@pytest.mark.parametrize("reason, recycle", [
    ("age", {"age": "6s"}), ("memory", {"memory": "64Mi"}), ("sessions", {"sessions": 2}),
    ("memory", {"memory": "32Mi", "memory_hard": "64Mi"})], ids=["age", "memory", "sessions", "memory_hard"])
def test_each_limit_alone_replaces_it_and_is_the_reason(podvisor, modules, reason, recycle):  # noqa: F811
    with Chrome(podvisor, recycle={**recycle, "per_hour": 1}, drain="1s") as chrome:
        if reason == "sessions":
            chrome.node(modules, """
                for (let i = 0; i < 2; i++) await (await puppeteer.connect({ browserURL: url })).disconnect();""")
        chrome.pod.wait(f"a recycle for {reason}", lambda: chrome.metric("recycles_total", reason=reason) >= 1, 60)
        assert set(chrome.state()["recycles_by_reason"]) == {reason}
        chrome.wait_generation(2)
        chrome.pod.wait("nothing of the old one is left", lambda: not chrome.processes(generation=1), 30)
        if reason == "age":
            chrome.pod.wait_log(msg="in the last hour: it goes on")
            assert chrome.metric("recycles_total", reason="age") == 1


def test_a_new_configuration_is_taken_over_beside_the_old_one(podvisor, modules):  # noqa: F811
    with Chrome(podvisor, drain="30s") as chrome:
        file = chrome.pod.config_file
        changed = json.loads(file.read_text())
        changed["browsers"]["chrome"]["args"] = ["--lang=de"]
        (chrome.pod.dir / "next.json").write_text(json.dumps(changed))
        got = chrome.node(modules, """
            const fs = require('fs'), { execFileSync } = require('child_process');
            const b = await puppeteer.connect({ browserURL: url });
            const p = await b.newPage();
            await p.evaluate('window.mark = 7');
            const state = async () => (await (await fetch(args[0])).json()).browsers[0];
            fs.copyFileSync(args[1], args[2]);
            const said = execFileSync(args[3], ['reload'], { env: { ...process.env, PODVISOR_SOCKET: args[4] } });
            while ((await state()).generation < 2) await new Promise(r => setTimeout(r, 50));
            return [String(said), await p.evaluate('window.mark'), (await state()).available];""",
                          f"http://127.0.0.1:{chrome.pod.port}/api/v1/status", chrome.pod.dir / "next.json", file,
                          PROGRAM, chrome.pod.socket)
        assert "~ browser chrome: args; another one takes over" in got[0]
        assert got[1:] == [7, True]
        assert chrome.state()["recycles_by_reason"] == {"reload": 1}
        chrome.pod.wait("the old one goes", lambda: not chrome.processes(generation=1), 60)


def test_a_green_that_never_gets_ready_leaves_blue_serving(podvisor, directory):
    shell = shutil.which("chromium-headless-shell")
    real = "/usr/lib/chromium/chromium-headless-shell"
    program = pathlib.Path(directory) / "chrome"
    program.write_text(f"#!/bin/sh\nif [ -e {directory}/broken ]; then exec sleep 600; fi\n"
                       f"exec {real if os.path.exists(real) else shell} \"$@\"\n")
    program.chmod(0o755)
    with Chrome(podvisor, executable=str(program), start_timeout="8s") as chrome:
        (pathlib.Path(directory) / "broken").touch()
        done = chrome.pod.cli("restart", "chrome", seconds=90)
        assert done.code == 1 and "chrome: ready" in done.out, done
        assert done.err.endswith("podvisor restart: the new chrome never got ready; the old one goes on, and podvisor goes on trying\n")
        assert chrome.metric("recycles_total", reason="start") == 1
        assert chrome.state()["generation"] == 1 and chrome.new_page()
        (pathlib.Path(directory) / "broken").unlink()
        done = chrome.pod.cli("restart", "chrome", seconds=90)
        assert done.code == 0 and "chrome: ready" in done.out, done
        assert chrome.state()["generation"] == 3 and chrome.new_page()
        assert chrome.metric("recycles_total", reason="command") == 1


def test_a_restart_cuts_no_session(podvisor, modules):  # noqa: F811
    with Chrome(podvisor, drain="30s") as chrome:
        got = chrome.node(modules, """
            const { promisify } = require('util'), run = promisify(require('child_process').execFile);
            const b = await puppeteer.connect({ browserURL: url });
            const p = await b.newPage();
            await p.evaluate('window.mark = 7');
            const said = await run(args[0], ['restart', 'chrome'], { env: { ...process.env, PODVISOR_SOCKET: args[1] } });
            const mark = await p.evaluate('window.mark');
            await b.disconnect();
            return [said.stdout, mark];""", PROGRAM, chrome.pod.socket)
        assert "chrome: ready" in got[0] and got[1] == 7
        assert chrome.state()["generation"] == 2
        assert chrome.state()["recycles_by_reason"] == {"command": 1}
        chrome.pod.wait("the old one goes", lambda: not chrome.processes(generation=1), 60)


# ---- where it lives, and what it says when it cannot ----

@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_below_a_long_path_the_full_chromium_runs_as_well(podvisor):
    # It makes a socket in TMPDIR, and a socket's path is at most 107 bytes long.
    with Chrome(podvisor, executable="chromium", below="long-" + "x" * 90, wait=False) as chrome:
        chrome.wait_generation(1)
        assert chrome.new_page()
        profile = chrome.disk / "chrome/chrome/g1/profile/SingletonSocket"
        assert len(str(profile)) > 107 and profile.is_symlink()
        assert any((chrome.disk / "chrome/chrome/g1/tmp").iterdir())


def test_what_it_died_of_is_told_and_not_what_crashpad_says_of_it(podvisor, directory):
    program = pathlib.Path(directory) / "chrome"
    program.write_text("#!/bin/sh\necho '[1:1:1127/074606.5:FATAL:chrome/x.cc:315] The disk is on fire' >&2\n"
                       "echo '[1127/074606.6:ERROR:third_party/crashpad/y.cc:1] open /sys/z: No such file' >&2\nexit 1\n")
    program.chmod(0o755)
    with Chrome(podvisor, executable=str(program), wait=False) as chrome:
        entry = chrome.pod.wait_log(msg="it said: ")
        assert entry["msg"].endswith("exited with code 1; it said: The disk is on fire")


# ---- kills ----

TYPES = ["browser", "renderer", "gpu-process", "zygote", "network.mojom.NetworkService",
         "storage.mojom.StorageService"]


def kill_one(chrome, dice):
    """Kills a process of a random type, now and then after another one was stopped; what was done."""
    while True:
        there = {k: pids for k in TYPES if (pids := chrome.of_type(k))}
        kind = dice.choice(list(there))
        victim = dice.choice(there[kind])
        others = [pid for pids in there.values() for pid in pids if pid != victim]
        stopped = dice.choice(others) if dice.random() < 0.4 else None
        try:
            if stopped:
                os.kill(stopped, signal.SIGSTOP)
            os.kill(victim, signal.SIGKILL)
            return kind, stopped
        except ProcessLookupError:
            pass  # it ended by itself meanwhile, as renderers do: another one


def is_well(chrome, at_least=1):
    """It serves, a page of a client answers, nothing of it is stopped, and nothing of another generation is left."""
    b = chrome.state()
    if not b["available"] or len(b["generations"]) != 1 or b["generation"] < at_least:
        return None
    number = b["generation"]
    mine = chrome.processes()
    for pid in mine:
        try:
            if pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T":
                return None
        except OSError:
            pass
    alone = [p.name for p in (chrome.disk / "chrome/chrome").iterdir()] == [f"g{number}"]
    if not alone or set(mine) - set(chrome.processes(generation=number)) or chrome.zombies():
        return None
    return b if chrome.new_page(5) and chrome.state()["generation"] == number else None


def test_whatever_is_killed_it_comes_back_and_leaves_nothing(podvisor):
    dice = random.Random(SEED)
    print(f"PODVISOR_SEED={SEED}")
    with Chrome(podvisor, recycle={"per_hour": 60}) as chrome:
        chrome.pod.wait("well", lambda: is_well(chrome))
        before, done, number = chrome.used(), [], 1
        for i in range(KILLS):
            # One that did not serve for 10 s is followed later and later, as it should be.
            chrome.pod.wait("a service of 10 s", lambda: (chrome.state()["uptime_seconds"] or 0) > 12)
            kind, stopped = kill_one(chrome, dice)
            done.append(kind)
            patience = time.monotonic() + 15 * SLOWER
            at_least = number + (kind in ("browser", "zygote"))

            def recovered():
                if stopped and time.monotonic() > patience:
                    try:
                        os.kill(stopped, signal.SIGCONT)  # one that nobody misses stays stopped
                    except OSError:
                        pass
                return is_well(chrome, at_least)
            b = chrome.pod.wait(f"well after kill {i + 1}, {kind}, {stopped} stopped, seed {SEED}", recovered, 120)
            number = b["generation"]
            assert chrome.metric("leftover_processes") == 0
        wait_until("the RAM disk is as empty as before", lambda: chrome.used() < before + (5 << 20), 30,
                   lambda: f"{before} bytes before, {chrome.used()} now, after {done}")
        print(f"{KILLS} kills, {number} generations: {chrome.state()['recycles_by_reason']}")
