"""The life of a supervised Chrome: what it may suffer, which part is blamed, and that nothing of it is left.

PODVISOR_KILLS=100 kills as often as the contract says, PODVISOR_CHROME=chromium the full browser (make chrome-faults)."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

import seccomp
from chrome import QUICK, Chrome, fill, memory_group
from podvisor import PROGRAM, SLOWER, wait_until

KILLS = int(os.environ.get("PODVISOR_KILLS", "5"))
SEED = int(os.environ.get("PODVISOR_SEED", "0")) or random.randrange(1 << 30)

pytestmark = pytest.mark.skipif(not shutil.which("chromium-headless-shell"),
                                reason="chromium-headless-shell is not installed")


# ---- the fault matrix: which part is blamed, and what is left alone ----

def test_a_browser_that_is_stopped_is_hung(podvisor):
    with Chrome(podvisor) as chrome:
        os.kill(chrome.of_type("browser")[0], signal.SIGSTOP)
        chrome.wait_generation(2)
        assert chrome.metric("recycles_total", reason="hung") == 1
        assert chrome.processes(generation=1) == []
        assert chrome.metric("leftover_processes") == 0


@pytest.mark.parametrize("executable", [c for c in ("chromium-headless-shell", "chromium") if shutil.which(c)])
def test_zygotes_that_are_gone_are_noticed_although_every_answer_is_good(podvisor, executable):
    with Chrome(podvisor, executable=executable) as chrome:
        chrome.pod.wait("a census", lambda: chrome.metric("processes", type="zygote"))
        time.sleep(6)  # the next census is that of a Chrome that serves; nothing tells when it is taken
        for pid in chrome.of_type("zygote"):
            os.kill(pid, signal.SIGKILL)
        chrome.wait_generation(2)
        reasons = chrome.state()["recycles_by_reason"]
        assert reasons.get("zygote") == 1, reasons


@pytest.mark.skipif(not shutil.which("chromium"), reason="chromium is not installed")
def test_the_processes_of_the_full_chromium_are_told_apart(podvisor):
    with Chrome(podvisor, executable="chromium") as chrome:
        def seen():
            return all(chrome.metric("processes", type=t) for t in ("browser", "renderer", "gpu", "zygote", "network", "crashpad"))
        chrome.pod.wait("a census", seen)
        assert chrome.metric("processes", type="zygote") == 2 and chrome.metric("processes", type="gpu") == 1
        os.kill(chrome.of_type("network.mojom.NetworkService")[0], signal.SIGKILL)
        chrome.pod.wait("its end is told", lambda: chrome.pod.events(what="part-lost", text="its network service has ended"))
        assert chrome.state()["recycles"] == 0


# Two misses instead of three.
SURE = {**QUICK, "network": {**QUICK["network"], "failure_threshold": 2}}


def test_a_network_service_that_is_stopped_is_the_network(podvisor):
    with Chrome(podvisor, health=SURE) as chrome:
        os.kill(chrome.of_type("network.mojom.NetworkService")[0], signal.SIGSTOP)
        chrome.wait_generation(2)
        assert chrome.state()["recycles_by_reason"] == {"network": 1}


def test_a_gpu_process_that_is_stopped_is_the_gpu(podvisor):
    with Chrome(podvisor, health=SURE) as chrome:
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


def test_a_clients_own_spinning_page_and_a_screenshot_in_the_background_blame_nobody(podvisor, browser_modules):
    with Chrome(podvisor) as chrome:
        got = chrome.node(browser_modules, """
            const b = await puppeteer.connect({ browserURL: url });
            const front = await b.newPage(), behind = await b.newPage(), spins = await b.newPage();
            spins.evaluate('while (true) ;').catch(() => 0);
            await front.bringToFront();
            behind.screenshot().catch(() => 0);
            const checked = /check_seconds_count\\{[^}]*rung="network"[^}]*\\} (\\d+)/;
            const count = async () => Number(checked.exec(await (await fetch(args[0])).text())[1]);
            for (const before = await count(); await count() < before + 2; ) await new Promise(r => setTimeout(r, 100));
            return await front.evaluate('6 * 7');""", f"http://127.0.0.1:{chrome.pod.port}/metrics")
        assert got == 42
        state = chrome.state()
        assert state["generation"] == 1 and state["recycles"] == 0
        assert all(check["misses"] == 0 for check in state["checks"])


needs_mount = pytest.mark.skipif(os.getuid() != 0, reason="a RAM disk of its own needs root")




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




@needs_mount
def test_a_page_that_hits_the_memory_limit_goes_alone_and_is_told(podvisor, browser_modules):
    group = memory_group(700 << 20) or pytest.skip("no memory cgroup can be made here")
    try:
        with Chrome(podvisor, wrapper=group.wrapper(), beside={"memory": {"guard": "off"}}) as chrome:
            got = chrome.node(browser_modules, """
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

@pytest.mark.parametrize("reason, recycle", [
    ("age", {"age": "4s"}), ("pages", {"pages": 4}), ("memory", {"memory": "64Mi"}), ("sessions", {"sessions": 2}),
    ("memory", {"memory": "32Mi", "memory_hard": "64Mi"})], ids=["age", "pages", "memory", "sessions", "memory_hard"])
def test_each_limit_alone_replaces_it_and_is_the_reason(podvisor, browser_modules, reason, recycle):
    with Chrome(podvisor, recycle={**recycle, "per_hour": 1}, drain="1s") as chrome:
        for _ in range(4 if reason == "pages" else 0):
            assert chrome.new_page()
        if reason == "sessions":
            chrome.node(browser_modules, """
                for (let i = 0; i < 2; i++) await (await puppeteer.connect({ browserURL: url })).disconnect();""")
        chrome.pod.wait(f"a recycle for {reason}", lambda: chrome.metric("recycles_total", reason=reason) >= 1, 60)
        assert set(chrome.state()["recycles_by_reason"]) == {reason}
        chrome.wait_generation(2)
        chrome.pod.wait("nothing of the old one is left", lambda: not chrome.processes(generation=1), 30)
        if reason == "age":
            chrome.pod.wait_log(msg="in the last hour: it goes on")
            assert chrome.metric("recycles_total", reason="age") == 1


def test_a_new_configuration_is_taken_over_beside_the_old_one(podvisor, browser_modules):
    with Chrome(podvisor, drain="30s") as chrome:
        file = chrome.pod.config_file
        changed = json.loads(file.read_text())
        changed["browsers"]["chrome"]["args"] = ["--lang=de"]
        (chrome.pod.dir / "next.json").write_text(json.dumps(changed))
        got = chrome.node(browser_modules, """
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


def test_a_restart_cuts_no_session(podvisor, browser_modules):
    with Chrome(podvisor, drain="30s") as chrome:
        got = chrome.node(browser_modules, """
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


# ---- the sandbox, under the profile that the book gives and under that of container runtimes ----

PROFILE = pathlib.Path(__file__).resolve().parents[2] / "config" / "chrome-seccomp.json"
needs_libseccomp = pytest.mark.skipif(os.getuid() != 0 or not seccomp.is_there(), reason="needs root and libseccomp")


def filtered(*words):
    return (sys.executable, seccomp.__file__, *words, str(PROFILE))


@needs_libseccomp
@pytest.mark.parametrize("executable", [c for c in ("chromium-headless-shell", "chromium") if shutil.which(c)])
def test_under_its_seccomp_profile_chrome_has_its_sandbox(podvisor, executable):
    with Chrome(podvisor, executable=executable, user="nobody", sandbox="on", wrapper=filtered()) as chrome:
        assert chrome.metric("sandboxed") == 1
        assert chrome.new_page()
        spaces = {os.readlink(f"/proc/{pid}/ns/user") for pid in chrome.renderers()}
        assert spaces and os.readlink("/proc/self/ns/user") not in spaces
        assert chrome.state()["recycles"] == 0


@needs_libseccomp
def test_under_a_profile_without_namespaces_it_runs_without_its_sandbox_and_says_so(podvisor):
    with Chrome(podvisor, user="nobody", wrapper=filtered("--plain")) as chrome:
        assert chrome.metric("sandboxed") == 0
        assert chrome.pod.events(what="unsandboxed", text="WITHOUT its sandbox: it could not make a user namespace here")
        assert chrome.new_page()


@needs_libseccomp
def test_the_seccomp_profile_keeps_the_rest_of_the_kernel_shut():
    for command in ["unshare", "-m", "true"], ["unshare", "-U", "-i", "true"], ["mount", "-t", "tmpfs", "x", "/mnt"]:
        done = subprocess.run([*filtered(), *command], capture_output=True, text=True)
        assert done.returncode != 0 and re.search("not permitted|denied", done.stderr), (command, done)
    names = {name for entry in json.loads(PROFILE.read_text())["syscalls"] for name in entry["names"]}
    assert not names & {"mount", "umount2", "pivot_root", "setns", "bpf", "perf_event_open", "ptrace", "process_vm_readv",
                        "process_vm_writev", "init_module", "finit_module", "kexec_load", "io_uring_setup", "userfaultfd",
                        "keyctl", "add_key", "open_by_handle_at", "reboot", "settimeofday", "clock_settime", "swapon"}


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

KILLED = {"executable": os.environ["PODVISOR_CHROME"]} if "PODVISOR_CHROME" in os.environ else {}
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
    with Chrome(podvisor, recycle={"per_hour": 60}, **KILLED) as chrome:
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
