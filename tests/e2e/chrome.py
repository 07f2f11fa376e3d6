"""One browser of a real podvisor, seen from outside: by podvisor's word, by the kernel's, and as a client sees it.

    with Chrome(podvisor, recycle={"pages": 8}) as chrome:      # podvisor: what starts one, see podvisor.py
        os.kill(chrome.of_type("browser")[0], signal.SIGSTOP)
        chrome.wait_generation(2)
"""
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import time

from podvisor import SLOWER, free_port, wait_until

QUICK = {"browser": {"interval": "500ms", "timeout": "1s"}, "renderer": {"interval": "2s", "timeout": "5s"},
         "network": {"interval": "4s", "timeout": "5s"}}


class Chrome:
    def __init__(self, start, size="2Gi", mount="any", wait=True, wrapper=(), below="", beside=None, **keys):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        config = {"volumes": {"ram": {"path": "{dir}", "size": size, "mount": mount}},
                  "browsers": {"chrome": {"listen": f"127.0.0.1:{self.port}", "volume": "ram", "health": QUICK, **keys}}}
        config.update(beside or {})
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

    def renderers(self):
        """Found by descent: in Chrome's sandbox they have a directory and a command line that tell nothing."""
        parents, found = {}, []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    parents[int(entry)] = int(pathlib.Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
                    if b"--type=renderer" in pathlib.Path(f"/proc/{entry}/cmdline").read_bytes():
                        found.append(int(entry))
                except OSError:
                    pass  # it has ended

        def descends(pid):
            while pid in parents and pid != self.pod.pid:
                pid = parents[pid]
            return pid == self.pod.pid
        return [pid for pid in found if descends(pid)]

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


def fill(path, leave):
    """Writes until so many bytes are free."""
    free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
    with open(path / "filler", "wb") as f:
        os.posix_fallocate(f.fileno(), 0, max(free - leave, 1))


class Group:
    """A memory cgroup with a limit, below our own."""

    def __init__(self, path, limit_file, limit):
        self.path = path
        path.mkdir()
        (path / limit_file).write_text(str(limit))

    def wrapper(self):
        """What has a command run in it."""
        return ("sh", "-c", f'echo $$ > {self.path}/cgroup.procs && exec "$@"', "sh")

    def remove(self):
        def removed():
            try:
                self.path.rmdir()
                return True
            except OSError:
                return False
        wait_until("nothing is left in the cgroup", removed)


def memory_group(limit):
    """A Group, of either version; None where none can be made."""
    for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        v1 = "memory" in controllers.split(",")
        place = pathlib.Path("/sys/fs/cgroup/memory" if v1 else "/sys/fs/cgroup") / path.lstrip("/")
        delegated = place / "cgroup.subtree_control"
        if v1 or (not controllers and delegated.exists() and "memory" in delegated.read_text().split()):
            return Group(place / f"podvisor-chrome-{os.getpid()}", "memory.limit_in_bytes" if v1 else "memory.max", limit)
    return None
