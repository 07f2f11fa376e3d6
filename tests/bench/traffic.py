"""What the gateway costs beside nginx and HAProxy: one core for the proxy, the other for load and backend, as long as there are
two. CPU is the proxy's own, of all its processes, per 100,000 round trips, requests or upgrades."""
import json
import os
import select
import shutil
import signal
import subprocess
import time

import processes
from processes import TooSlow, cpu_ns
from proxies import Gateway, Stage
from subjects import tool

WS_PEER, HTTP_PEER = tool("ws_peer"), tool("http_peer")
SIZES = (64, 4096, 65536)
PER = 100_000
PEERS = ("nginx", "nginx64", "haproxy")


def pinned(core, argv):
    cores = sorted(os.sched_getaffinity(0))
    return ["taskset", "-c", str(cores[core % len(cores)]), *argv] if len(cores) > 1 else argv


class Lines:
    """What a load prints, line by line."""

    def __init__(self):
        self.fd, self.writer = os.pipe()
        self.rest = b""

    def take(self, who, seconds=60):
        limit = time.monotonic() + seconds
        while b"\n" not in self.rest:
            ready, _, _ = select.select([self.fd], [], [], max(0, limit - time.monotonic()))
            piece = os.read(self.fd, 4096) if ready else b""
            if not piece:
                raise TooSlow(f"{who}: its load said nothing for {seconds} s")
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def close(self):
        os.close(self.fd)


class Course(Stage):
    """A backend, a proxy in front of it, each on its core."""

    def __init__(self, bench, proxy, backend):
        self.lines = None
        super().__init__(bench, proxy, backend, 1)

    def seat(self, argv):
        return pinned(1, argv)

    def spawn(self, argv, stdout=None):
        return super().spawn(argv if argv[0] == "taskset" else pinned(0, argv), stdout)

    def __exit__(self, *_):
        super().__exit__()
        if self.lines:
            self.lines.close()

    def family(self):
        return [self.pid, *processes.descendants(self.pid)]

    def cpu_s(self):
        return sum(cpu_ns(pid) for pid in self.family()) / 1e9

    def begin(self, program, *words):
        """Returns when all connections are open and at work."""
        self.lines = Lines()
        report = [] if program == HTTP_PEER else ["--report", str(self.place / "report")]
        self.load = self.spawn([program, "load", "--connect", f"127.0.0.1:{self.port}", *words, *report],
                               stdout=self.lines.writer)
        os.close(self.lines.writer)
        return self.next()

    def next(self):
        return self.lines.take(self.proxy.name)

    def finish(self):
        processes.wait(self.load)
        return json.loads((self.place / "report").read_text())


def subjects(bench):
    return [Gateway(), *bench.peers(*PEERS)]


# ---- round trips ----

def round_trips(bench, proxy, size, count):
    with Course(bench, proxy, [WS_PEER, "--echo"]) as course:
        course.begin(WS_PEER, "--count", str(count), "--pingpong", "--size", str(size), "--seconds", str(bench.traffic_s))
        before = course.cpu_s()
        told = course.next()
        used = course.cpu_s() - before
        report = course.finish()
    bench.add(f"ws-{size}-{count}", proxy.name, used / told["echoes"] * PER)
    bench.add(f"ws-rate-{size}-{count}", proxy.name, told["echoes"] / told["seconds"] / 1000)
    bench.add(f"ws-p99-{size}-{count}", proxy.name, report["p99_us"] / 1000)


def can_count_calls():
    perf = ["perf", "stat", "-e", "raw_syscalls:sys_enter", "--", "true"]
    return shutil.which("perf") and subprocess.run(perf, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def count_calls(pids, seconds):
    """System calls a second."""
    perf = ["perf", "stat", "-x", " ", "-e", "raw_syscalls:sys_enter", "-p", ",".join(map(str, pids)), "--", "sleep", str(seconds)]
    text = subprocess.run(perf, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stderr
    words = next(line for line in text.splitlines() if "raw_syscalls" in line).split()
    # the count, then for how many ns it was counted in each thread, which is what the sleep took
    return int(words[0]) / seconds


def calls(bench, proxy, size):
    with Course(bench, proxy, [WS_PEER, "--echo"]) as course:
        course.begin(WS_PEER, "--count", "100", "--pingpong", "--size", str(size), "--seconds", str(bench.traffic_s + 1))
        a_second = count_calls(course.family(), bench.traffic_s)
        told = course.next()
    bench.add(f"ws-calls-{size}", proxy.name, a_second / (told["echoes"] / told["seconds"]))


# ---- requests, upgrades, memory ----

def requests(bench, proxy, count):
    with Course(bench, proxy, [HTTP_PEER]) as course:
        course.begin(HTTP_PEER, "--count", str(count), "--seconds", str(bench.traffic_s))
        before = course.cpu_s()
        told = course.next()
        used = course.cpu_s() - before
    if told["failed"]:
        raise TooSlow(f"{proxy.name}: {told['failed']} requests failed")
    bench.add(f"http-{count}", proxy.name, used / told["answers"] * PER)
    bench.add(f"http-rate-{count}", proxy.name, told["answers"] / told["seconds"] / 1000)


def upgrades(bench, proxy):
    count = bench.upgrades
    with Course(bench, proxy, [WS_PEER]) as course:
        before, started = course.cpu_s(), time.monotonic()
        course.begin(WS_PEER, "--count", str(count), "--at-once", "256", "--seconds", "1")
        took, used = time.monotonic() - started, course.cpu_s() - before
    bench.add("upgrade", proxy.name, used / count * PER)
    bench.add("upgrade-rate", proxy.name, count / took / 1000)


def settled_kib(course):
    processes.settle(course.pid)
    return processes.private_kib(course.family())


def weigh(bench, proxy, *words):
    """Bytes of each WebSocket when all are open and none says anything any more."""
    count = bench.idle_websockets
    with Course(bench, proxy, [WS_PEER, "--echo"]) as course:
        empty = settled_kib(course)
        course.begin(WS_PEER, "--count", str(count), "--seconds", "600", *words)
        processes.kill(course.load, signal.SIGSTOP)
        return (settled_kib(course) - empty) * 1024 / count


def memory(bench, proxy):
    """Of those that have said nothing, and of those that have echoed 4 KiB."""
    idle, after = weigh(bench, proxy), weigh(bench, proxy, "--every", "1000", "--size", "4096", "--heard")
    bench.add("ws-memory", proxy.name, idle)
    bench.add("ws-memory-after", proxy.name, after)
    bench.add("ws-growth", proxy.name, (after - idle) / idle * 100 if idle else 0)


# ---- the row ----

def traffic(bench):
    counting = can_count_calls()
    if not counting:
        bench.figures.note("system calls of a round trip: perf cannot count them here")
    for size in SIZES:
        for count in bench.traffic_counts:
            for proxy in subjects(bench):
                round_trips(bench, proxy, size, count)
        for proxy in subjects(bench) if counting else []:
            calls(bench, proxy, size)
    for measure in (lambda proxy: requests(bench, proxy, 100), lambda proxy: upgrades(bench, proxy), lambda proxy: memory(bench, proxy)):
        for proxy in subjects(bench):
            measure(proxy)
