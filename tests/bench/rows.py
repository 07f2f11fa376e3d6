"""What is measured, row by row of the table: each function does one round of its row for every subject, in turn."""
import contextlib
import dataclasses
import math
import os
import signal
import time

import processes
import proxies
import subjects
import traffic
from processes import TooSlow, cpu_ns
from subjects import Fleet, Running, tool
from table import Figure, at_least, at_most, least, p99, tail, worst

WORKER = [tool("worker"), "{stamps}"]
NEVER = math.inf
ALL_ON = "podvisor, all on"
TRAFFIC = [(64, "64 B", (at_most(1, "nginx"),)),
           (4096, "4 KiB", (at_most(0.65, "nginx"), at_most(0.9, "haproxy"), at_most(1, "nginx64"))),
           (65536, "64 KiB", (at_most(0.3, "nginx"), at_most(0.55, "haproxy"), at_most(1, "nginx64")))]


@dataclasses.dataclass
class Row:
    name: str
    title: str
    measure: callable
    figures: list


def both_podvisors(bench):
    return [subjects.Podvisor(), subjects.PodvisorWithEverything(bench.dsn)]


# ---- start and footprint ----

SLOW_AT_1000 = ("runit", "supervisord")  # 18 and 28 s: one round of them says enough


def fleet_subjects(bench, count):
    chosen = both_podvisors(bench) + bench.peers("floor", "s6", "runit", "supervisord")
    if count == 1:
        chosen += bench.peers("tini", "dumb-init")
    if count == 1000 and bench.round > 0:
        chosen = [s for s in chosen if s.name not in SLOW_AT_1000]
    return chosen


def start_and_weigh(bench, subject, count):
    with Running(bench, subject, Fleet(count, WORKER)) as running:
        first, last = running.await_workers()
        if count == 1:
            bench.add("start-1", subject.name, first)
        else:
            bench.add(f"start-{count}", subject.name, last)
        if isinstance(subject, subjects.PodvisorWithEverything) and subject.dsn:
            running.await_log('"postgres":"main"')
        processes.settle(running.pid)
        everyone = running.supervisors()
        bench.add(f"memory-{count}", subject.name, processes.private_kib(everyone) / 1024)
        if isinstance(subject, subjects.Podvisor) and count == 100:
            bench.add("memory-shim", subject.name, processes.private_kib(everyone[1:]) / (len(everyone) - 1))


def fleet(bench):
    for count in bench.counts:
        for subject in fleet_subjects(bench, count):
            start_and_weigh(bench, subject, count)


def rss(bench):
    """podvisor alone, with one worker, control and gateway: without a database, and after the first check of one."""
    variants = [("rss-before", None)] + ([("rss-after", bench.dsn)] if bench.dsn else [])
    for key, dsn in variants:
        with Running(bench, subjects.PodvisorWithEverything(dsn, "podvisor"), Fleet(1, WORKER)) as running:
            running.await_workers()
            if dsn:
                running.await_log('"postgres":"main"')
            processes.settle(running.pid)
            bench.add(key, "podvisor", processes.rss_kib(running.pid) / 1024)


# ---- at rest ----

def start_all(bench, stack, chosen):
    """Each with ten workers, until the stack ends."""
    running = [stack.enter_context(Running(bench, subject, Fleet(10, WORKER))) for subject in chosen]
    for one in running:
        one.await_workers()
    return running


def idle(bench):
    """All of them rest through the same seconds."""
    chosen = both_podvisors(bench) + bench.peers("floor", "s6", "runit", "supervisord")
    with contextlib.ExitStack() as stack:
        running = start_all(bench, stack, chosen)
        time.sleep(bench.until_idle_s)
        before = [processes.switches(r.supervisors()) for r in running]
        time.sleep(bench.idle_s)
        for r, count in zip(running, before):
            bench.add("idle" if r.subject.name != ALL_ON else "idle-checks", r.subject.name,
                      processes.switches(r.supervisors()) - count)


# ---- respawn ----

UP_S = 1.4  # runit restarts at once only what was up for more than a second
SLOW_TO_RESPAWN = ("s6", "supervisord")  # about a second each


def kill_one(running, at, seconds=10):
    """Milliseconds from kill -9 to the successor's stamp."""
    started = time.monotonic_ns()
    processes.kill(running.workers[at])
    (ns, pid), = running.stamps.take(processes.WORKER, 1, seconds)
    running.workers[at] = pid
    return (ns - started) / 1e6


def respawn(bench):
    """All of them run at once, and their workers are killed in turn."""
    chosen = [subjects.Podvisor()] + bench.peers("floor", "runit", "s6", "supervisord")
    samples = {subject.name: [] for subject in chosen}
    with contextlib.ExitStack() as stack:
        running = start_all(bench, stack, chosen)
        for batch in range(bench.kill_batches):
            time.sleep(UP_S)
            for at in range(10):
                for r in running:
                    if r.subject.name not in SLOW_TO_RESPAWN or (batch == 0 and at < 3):
                        samples[r.subject.name].append(kill_one(r, at))
    for name, found in samples.items():
        bench.add("respawn", name, *found)
        bench.add("respawn-p99", name, *found)
        bench.add("respawn-tail", name, *found)


# ---- orphans ----

NAMESPACE = ["unshare", "-fp", "--mount-proc", "--kill-child"]
BURST = 500


def first_of(running):
    """PID 1 of the namespace, as seen from outside."""
    limit = time.monotonic() + 10
    while not (found := processes.children(running.pid)):
        if time.monotonic() > limit:
            raise TooSlow("no PID 1")
        time.sleep(0.002)
    return found[0]


def helpers_of(first):
    makers = ("orphans", "worker", "nsenter")
    return [first] + [pid for pid in processes.descendants(first) if processes.name_of(pid) not in makers]


def reckon(bench, key, running, first):
    """From the stamp of the beginning to the zombies 50 ms after the end, and the CPU time in between."""
    total = bench.orphans
    running.stamps.take(processes.BEGIN)
    everyone = helpers_of(first)
    before = sum(map(cpu_ns, everyone))
    running.stamps.take(processes.END, 1, 120)
    time.sleep(0.05)
    zombies = sum(processes.state_of(pid) == "Z" for pid in processes.descendants(first))
    time.sleep(0.2)
    used = sum(map(cpu_ns, everyone)) - before
    bench.add(key, running.subject.name, zombies)
    bench.add(key + "-cpu", running.subject.name, used / 1e6 * 1000 / total)


def orphans_of_its_own(bench):
    """The makers of orphans is the one command that is run."""
    maker = [tool("orphans"), "{stamps}", str(bench.orphans), str(BURST), "stay"]
    for subject in [subjects.Podvisor()] + bench.peers("tini", "dumb-init"):
        with Running(bench, subject, alone=maker, wrap=NAMESPACE) as running:
            reckon(bench, "orphans", running, first_of(running))


def orphans_from_outside(bench):
    """They come from a process that was not started by PID 1, as with kubectl exec."""
    chosen = [subjects.Podvisor()] + bench.peers("floor", "tini", "dumb-init", "s6", "runit", "supervisord")
    for subject in chosen:
        with Running(bench, subject, Fleet(1, WORKER), wrap=NAMESPACE) as running:
            running.await_workers()
            first = first_of(running)
            processes.spawn(["nsenter", "-t", str(first), "-p", "-m", tool("orphans"), running.stamps.path,
                             str(bench.orphans), str(BURST)])
            reckon(bench, "orphans-outside", running, first)


def orphans(bench):
    if not bench.namespaces:
        return
    orphans_of_its_own(bench)
    orphans_from_outside(bench)


# ---- stop ----

PATIENCE_S = 6  # beyond the time-out; supervisord kills one after the other and would need minutes


def stop_one(bench, key, subject, command, daemons):
    stop_s = bench.stop_s
    with Running(bench, subject, Fleet(bench.stop_count, command, stop_s)) as running:
        running.await_workers()
        running.await_daemons(bench.stop_count if daemons else 0)
        processes.settle(running.pid)
        known = running.workers + [running.pid]  # a peer's own affair; of daemons only podvisor knows
        endings = processes.Endings(known + running.daemons)
        started = time.monotonic_ns()
        os.kill(running.pid, subject.stop_signal)
        limit = started + int((PATIENCE_S + (stop_s if daemons else 0)) * 1e9)
        endings.wait(limit, until=lambda: all(pid in endings.at_ns for pid in known))
        left = endings.wait(min(limit, time.monotonic_ns() + 100_000_000))  # what outlives it by more than 0.1 s is left
        endings.close()
        ended = [endings.at_ns.get(pid, NEVER) for pid in known]
        took = (max(ended) - started) / 1e6
        bench.add(key, subject.name, took - (stop_s * 1000 if daemons else 0))
        bench.add(key + "-left", subject.name, left)


def stop(bench):
    chosen = [subjects.Podvisor()] + bench.peers("floor", "s6", "runit", "supervisord")
    for key, words in ("stop", []), ("stop-deaf", ["deaf", "daemon"]):
        for subject in chosen:
            stop_one(bench, key, subject, WORKER + words, bool(words))


# ---- log capture ----

LAST = b"this was the last line"
LINE = b"x" * 99


def ends_with_last(path):
    with open(path, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
        return LAST in file.read()


def await_last(path, seconds=60):
    limit = time.monotonic() + seconds
    while not ends_with_last(path):
        if time.monotonic() > limit:
            raise TooSlow(f"the last line is not in {path}")
        time.sleep(0.0005)


def count_lines(path):
    found, rest = 0, b""
    with open(path, "rb") as file:
        while chunk := file.read(1 << 24):
            whole, _, tail = (rest + chunk).rpartition(b"\n")
            found += whole.count(LINE)
            rest = tail
    return found + rest.count(LINE)


def record_log(bench, name, batch, seconds, cpu_s, lines):
    key = "log" if batch > 1 else "log-line"
    bench.add(key, name, bench.lines / seconds / 1000)
    bench.add(key + "-cpu", name, cpu_s * 1e6 / bench.lines)
    bench.add("log-lost", name, bench.lines - lines)


def flood_command(bench, batch):
    return [tool("flood"), "{stamps}", str(bench.lines), str(batch)]


def flood_podvisor(bench, name, batch, **log):
    class Flooded(subjects.Podvisor):
        def worker(self, fleet):
            return {"command": fleet.command, "kind": "task", "log": log}

    subject = Flooded()
    subject.name = name
    with Running(bench, subject, Fleet(1, flood_command(bench, batch))) as running:
        (begin, _), = running.stamps.take(processes.BEGIN)
        before = cpu_ns(running.pid)
        running.stamps.take(processes.END, 1, 120)
        await_last(running.log)
        took = (time.monotonic_ns() - begin) / 1e9
        used = (cpu_ns(running.pid) - before) / 1e9
        record_log(bench, name, batch, took, used, count_lines(running.log))


def flood_sink(bench, name, batch, argv, output):
    """A sink that reads its stdin, as s6-log does; it ends when the flood does."""
    stamps = processes.Stamps(str(bench.place / f"stamps-{bench.serial()}"))
    out = bench.place / f"sink-{bench.serial()}"
    out.mkdir()
    reader, writer = os.pipe()
    with open(out / "stdout", "wb") as file:
        sink = processes.spawn([word.replace("{out}", str(out)) for word in argv], stdin=reader, stdout=file.fileno())
    os.close(reader)
    source = processes.spawn([word.replace("{stamps}", stamps.path) for word in flood_command(bench, batch)],
                             stdout=writer)
    os.close(writer)
    (begin, _), = stamps.take(processes.BEGIN)
    processes.wait(source)
    usage = processes.wait(sink)
    took = (time.monotonic_ns() - begin) / 1e9
    record_log(bench, name, batch, took, usage.ru_utime + usage.ru_stime, count_lines(out / output))
    stamps.close()
    bench.remove(out)


def logs(bench):
    for batch in 64, 1:
        flood_podvisor(bench, "podvisor", batch)
        flood_podvisor(bench, "podvisor, passthrough", batch, format="passthrough")
        flood_sink(bench, "floor", batch, [tool("floor_log")], "stdout")
        if bench.peers("s6"):
            flood_sink(bench, "s6-log", batch, ["s6-log", "T", "n9", "s268435455", "{out}/log"], "log/current")


# ---- a tree that flees ----

FAMILY = 61


def tree_podvisor(bench):
    command = [tool("family"), "{stamps}", str(FAMILY)]
    with Running(bench, subjects.Podvisor(), Fleet(1, command)) as running:
        running.await_workers()
        running.await_daemons(FAMILY)
        processes.settle(running.pid)
        endings = processes.Endings(running.daemons)
        started = time.monotonic_ns()
        os.kill(running.workers[0], signal.SIGKILL)
        left = endings.wait(started + 5_000_000_000)
        endings.close()
        bench.add("tree", "podvisor", NEVER if left else (max(endings.at_ns.values()) - started) / 1e6)


def tree_floor(bench):
    """Somebody who knows every one of them and need not look."""
    stamps = processes.Stamps(str(bench.place / f"stamps-{bench.serial()}"))
    pid = processes.spawn([tool("family"), stamps.path, str(FAMILY)])
    found = [p for _, p in stamps.take(processes.DAEMON, FAMILY)]
    stamps.take(processes.WORKER)
    time.sleep(0.1)
    endings = processes.Endings([pid, *found])
    started = time.monotonic_ns()
    endings.kill()
    endings.wait(started + 5_000_000_000)
    endings.close()
    bench.add("tree", "floor", (max(endings.at_ns.values()) - started) / 1e6)
    processes.end(pid)
    stamps.close()


def tree(bench):
    tree_podvisor(bench)
    tree_floor(bench)


MB = "private memory of supervisor and helpers"
ROWS = [
    Row("start", "Start and footprint", fleet, [
        Figure("start-1", "exec to first worker running, ms", (at_most(8),)),
        Figure("start-10", "exec to all of 10 workers running, ms", (at_most(20),)),
        Figure("start-100", "100 workers, ms", (at_most(100),)),
        Figure("start-1000", "1,000 workers, ms"),
        Figure("memory-1", f"{MB}, 1 worker, MB", (at_most(3),), ALL_ON, "s6"),
        Figure("memory-100", "100 workers, MB", (at_most(10),), ALL_ON, "s6"),
        Figure("memory-1000", "1,000 workers, MB", (at_most(70),), ALL_ON, "s6"),
        Figure("memory-shim", "private memory of one shim, KiB", (at_most(64),)),
    ]),
    Row("rss", "Resident memory", rss, [
        Figure("rss-before", "RSS of podvisor without a database, MB", (at_most(6),)),
        Figure("rss-after", "RSS after the first PostgreSQL check, MB", (at_most(12),)),
    ]),
    Row("idle", "At rest", idle, [
        Figure("idle", "context switches at rest, 10 workers, no check due", (at_most(0),), beside="supervisord"),
        Figure("idle-checks", "the same with control, gateway and a PostgreSQL check every 5 s", (), ALL_ON),
    ]),
    Row("respawn", "Respawn", respawn, [
        Figure("respawn", "kill -9 to the successor running, median, ms", (at_most(2, "floor"),)),
        Figure("respawn-p99", "the same, p99, ms", (), statistic=p99),
        Figure("respawn-tail", "p99 as a multiple of the median", (at_most(2),), statistic=tail),
    ]),
    Row("orphans", "Orphans, as PID 1", orphans, [
        Figure("orphans", "zombies 50 ms after the last of 10,000 orphans of its one command", (at_most(0),), statistic=worst, beside="tini"),
        Figure("orphans-cpu", "CPU per 1,000 of them, ms", (at_most(1.2, "tini"),)),
        Figure("orphans-outside", "zombies, orphans from outside (kubectl exec)", (at_most(0),), statistic=worst, beside="tini"),
        Figure("orphans-outside-cpu", "CPU per 1,000 of them, ms", (at_most(1.2, "tini"),)),
    ]),
    Row("stop", "Stop of 100 workers", stop, [
        Figure("stop", "obedient: until nothing runs, ms", (at_most(40),)),
        Figure("stop-left", "processes left", (at_most(0),), statistic=worst),
        Figure("stop-deaf", "deaf, each with a deaf daemon: beyond the time-out of 2 s, ms", (at_most(50),)),
        Figure("stop-deaf-left", "processes left", (at_most(0),), statistic=worst),
    ]),
    Row("logs", "Log capture, lines of 100 bytes", logs, [
        Figure("log", "64 lines a write, 1,000 lines/s", (at_least(4, "s6-log"),)),
        Figure("log-cpu", "CPU seconds per million lines", (at_most(0.25),), beside="s6-log"),
        Figure("log-line", "one line a write, 1,000 lines/s", (at_least(1.3, "s6-log"),)),
        Figure("log-line-cpu", "CPU seconds per million lines", (), beside="s6-log"),
        Figure("log-lost", "lines lost", (at_most(0),), statistic=worst),
    ]),
    Row("tree", "A tree of 61 sessions", tree, [
        Figure("tree", "kill -9 of the worker to the end of all 61, ms", (at_most(20),)),
    ]),
    Row("traffic", "The gateway at work", traffic.traffic, [
        *[Figure(f"ws-{size}-{count}", f"WebSockets, {text}, {count:,} at once: CPU s per 100,000 round trips", goals)
          for size, text, goals in TRAFFIC for count in (100, 1000)],
        *[Figure(f"ws-rate-{size}-{count}", f"the same, 1,000 round trips/s, {text}, {count:,} at once")
          for size, text, _ in TRAFFIC for count in (100, 1000)],
        Figure("ws-p99-64-100", "p99 of a round trip, 64 B, 100 at once, ms", (at_most(1, "nginx"), at_most(1, "haproxy"))),
        *[Figure(f"ws-calls-{size}", f"system calls of a round trip, {text}", (at_most(limit),))
          for (size, text, _), limit in zip(TRAFFIC, (4.5, 4.5, 8.6))],
        Figure("http-100", "HTTP, 100 clients that keep their connections: CPU s per 100,000 requests", (at_most(1, "haproxy"),)),
        Figure("http-rate-100", "the same, 1,000 requests/s"),
        Figure("upgrade", "CPU s per 100,000 upgrades", (at_most(0.85, "nginx"),)),
        Figure("upgrade-rate", "the same, 1,000 upgrades/s"),
        Figure("ws-memory", "private memory of an idle WebSocket, 9,000 open, bytes", (at_most(1536),), beside="haproxy", digits=4),
        Figure("ws-memory-after", "the same after an echo of 4 KiB", beside="haproxy", digits=4),
        Figure("ws-growth", "growth, percent", (at_most(5),), statistic=worst),
    ]),
    Row("drain", "The end under 2,000 WebSockets, spread over 10 s", proxies.drain, [
        Figure("drain-told", "clients that saw one proper Close, percent", (at_least(100),), statistic=least),
        Figure("drain-backend", "backend's ends that did, percent", (at_least(100),), statistic=least),
        Figure("drain-frame", "clients that did, with a frame of 2.6 s under way at the signal, percent", (at_least(100),), statistic=least),
        Figure("drain-peak", "most ends in any 100 ms, uniform = 1", (at_most(2.1),), statistic=worst),
        Figure("drain-lost", "messages lost that were finished before the end", (at_most(0),), statistic=worst),
    ]),
]
