"""A real PostgreSQL that fails in each way that there is, watched by a real podvisor (SPEC 6).

PODVISOR_FIGURES names a file that gets a line for each: how long it took to be seen, and the longest call into libpq."""
import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

from cluster import Cluster, cluster, shared_cluster
from podvisor import SLOWER, wait_until

FAST = {"interval": "200ms", "timeout": "1s", "canary_interval": "1s", "failure_time": "1s", "success_time": "500ms",
        "resolve_timeout": "1s"}
SLEEPER = {"command": ["/bin/sleep", "1000"], "depends_on": ["postgres:main"]}


def figure(case, seconds, pod):
    line = f"{case:44} seen after {seconds * 1000:7.0f} ms, longest call {longest_call(pod) * 1000:6.2f} ms"
    print(line)
    if os.environ.get("PODVISOR_FIGURES"):
        with open(os.environ["PODVISOR_FIGURES"], "a", encoding="ascii") as out:
            out.write(line + "\n")


def metrics(pod, name):
    """Values by labels."""
    found = {}
    for line in pod.ask("GET", "/metrics").text.splitlines():
        if line.startswith((name + " ", name + "{")):
            labels, _, value = line[len(name):].rpartition(" ")
            found[labels] = float(value)
    return found


def longest_call(pod):
    return max(metrics(pod, "podvisor_postgres_call_max_seconds").values(), default=0)


def failures(pod, kind="kept"):
    return sum(value for labels, value in metrics(pod, "podvisor_postgres_checks_total").items()
               if f'kind="{kind}"' in labels and 'result="ok"' not in labels)


def state_of(pod):
    database, = pod.status()["postgres"]
    return database["state"], database["reason"]


class Watch:
    """A podvisor that is up, and how long it takes to see something."""

    def __init__(self, podvisor, dsn, wrapper=(), **keys):
        self.pod = podvisor({"postgres": {"main": {"dsn": dsn, **FAST, **keys}}, "workers": {"one": SLEEPER}}, wrapper=wrapper)
        self.began = time.monotonic()

    def up(self):
        self.pod.wait("it is up", lambda: state_of(self.pod)[0] == "up")
        self.run = self.pod.wait_worker("one", state="ready")["run"]
        return self

    def begins(self):
        self.began = time.monotonic()

    def sees(self, case, *wanted):
        self.pod.wait(case, lambda: state_of(self.pod) == wanted)
        figure(case, time.monotonic() - self.began, self.pod)
        assert self.pod.ask("GET", "/livez").status == 200, "the database is no part of liveness"

    def end(self):
        assert self.pod.worker("one")["run"] == self.run, "what depends on it was left alone"
        assert self.pod.stop() == 0


@pytest.fixture
def watch(podvisor, shared_cluster):
    return lambda dsn=None, **keys: Watch(podvisor, dsn or shared_cluster.dsn, **keys)


def backend_of(cluster, pod_application="podvisor"):
    """Of podvisor's kept session: the oldest one."""
    return int(cluster.sql("select pid from pg_stat_activity where application_name like 'podvisor%' order by backend_start limit 1"))


def test_a_killed_server_is_seen_at_once_and_readiness_holds(podvisor, cluster):
    """D1: between two checks lies a minute, it is the end of the session that tells."""
    w = Watch(podvisor, cluster.dsn, interval="60s").up()
    w.pod.wait_ready()
    w.begins()
    cluster.server.kill()
    w.pod.wait("a failure is counted", lambda: failures(w.pod) >= 1)
    figure("killed: first failure", time.monotonic() - w.began, w.pod)
    w.sees("killed: down", "down", "unreachable")
    answer = w.pod.ask("GET", "/readyz")
    assert answer.status == 200 and "degraded" in answer.text
    cluster.server.wait()
    cluster.start()
    w.begins()
    w.sees("started again: up", "up", "")
    w.end()


def test_a_killed_backend_is_a_new_session_and_no_outage(watch, shared_cluster):
    """D2."""
    w = watch().up()
    w.begins()
    shared_cluster.sql(f"select pg_terminate_backend({backend_of(shared_cluster)})")
    w.pod.wait("another session", lambda: sum(metrics(w.pod, "podvisor_postgres_reconnects_total").values()) >= 1)
    figure("backend ended: another session", time.monotonic() - w.began, w.pod)
    assert not w.pod.log(postgres="main", level="error"), "it was never down"
    w.end()


def test_a_stopped_backend_and_a_stopped_server_are_told_apart(watch, shared_cluster):
    """D3, D4: the kept session sees the one, a fresh connection the other."""
    w = watch(interval="500ms").up()
    backend = backend_of(shared_cluster)
    w.begins()
    os.kill(backend, signal.SIGSTOP)
    w.pod.wait("another session", lambda: sum(metrics(w.pod, "podvisor_postgres_reconnects_total").values()) >= 1)
    figure("backend stopped: another session", time.monotonic() - w.began, w.pod)
    os.kill(backend, signal.SIGCONT)
    w.pod.wait("it is up", lambda: state_of(w.pod)[0] == "up")
    shared_cluster.server.send_signal(signal.SIGSTOP)
    w.begins()
    w.sees("postmaster stopped: degraded", "degraded", "hung")
    shared_cluster.server.send_signal(signal.SIGCONT)
    w.begins()
    w.sees("postmaster goes on: up", "up", "")
    w.end()


def test_a_server_without_a_free_slot_is_degraded(watch, shared_cluster):
    """D7: the kept session works, and pg_isready would be content."""
    shared_cluster.sql("drop role if exists app; create role app login connection limit 2")
    w = watch(shared_cluster.dsn.replace("user=boss", "user=app"), slow="none").up()
    others = [subprocess.Popen([shared_cluster.BIN / "psql", "-XAtq", shared_cluster.dsn.replace("user=boss", "user=app"), "-c",
                                "select pg_sleep(600)"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)]
    try:
        w.begins()
        w.sees("slots full: degraded", "degraded", "refusing")
        assert any('sqlstate_class="53"' in labels for labels in metrics(w.pod, "podvisor_postgres_failures_total"))
    finally:
        for one in others:
            one.kill()
            one.wait()
    shared_cluster.sql("select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep%' and pid <> pg_backend_pid()")
    w.begins()
    w.sees("a slot is free: up", "up", "")
    w.end()


@pytest.mark.parametrize("what,change,reason", [
    ("no such database", ("dbname=postgres", "dbname=nowhere"), "no-database"),
    ("no such role", ("user=boss", "user=nobody_known"), "unauthorized"),
    ("wrong password", ("user=boss", "user=locked password=s3cret-of-mine"), "unauthorized"),
    ("TLS where there is none", ("dbname=postgres", "dbname=postgres sslmode=require host=127.0.0.1"), "tls")])
def test_what_is_configured_wrong_is_not_tried_in_a_hurry(podvisor, shared_cluster, what, change, reason):
    """D8: and no password is told."""
    hba = shared_cluster.data / "pg_hba.conf"
    if "locked" not in hba.read_text():
        hba.write_text("local all locked scram-sha-256\n" + hba.read_text())
        shared_cluster.sql("create role locked login password 'another'; select pg_reload_conf()")
    dsn = shared_cluster.dsn.replace(*change)
    if reason == "tls":
        dsn = dsn.replace(f"host={shared_cluster.path} ", "")
    w = Watch(podvisor, dsn)
    w.sees(f"{what}: misconfigured", "misconfigured", reason)
    tries = sum(failures(w.pod, kind) for kind in ("kept", "canary"))
    assert tries <= 2 and w.pod.worker("one")["state"] == "waiting"
    assert "s3cret-of-mine" not in w.pod.log_file.read_text() + w.pod.ask("GET", "/api/v1/status").text
    assert w.pod.stop() == 0


def test_a_server_that_takes_no_writes_is_degraded_at_the_next_check(watch, shared_cluster):
    """D9: from the query's result; the reported parameter is a check behind."""
    w = watch().up()
    for value, state in (("on", ("degraded", "read-only")), ("off", ("up", ""))):
        shared_cluster.sql(f"alter system set default_transaction_read_only = {value}")
        w.begins()
        shared_cluster.sql("select pg_reload_conf()")
        w.sees(f"read-only {value}", *state)
    w.end()


def test_a_standby_is_degraded_and_up_when_it_is_promoted(podvisor, cluster):
    """D9."""
    cluster.copy()
    cluster.stop()
    cluster.data = cluster.path / "copy"
    cluster.start()
    w = Watch(podvisor, cluster.dsn)
    w.sees("standby: degraded", "degraded", "recovering")
    assert list(metrics(w.pod, "podvisor_postgres_in_recovery").values()) == [1]
    w.begins()
    cluster.run("pg_ctl", "promote", "-D", str(cluster.data), "-w")
    w.sees("promoted: up", "up", "")
    assert list(metrics(w.pod, "podvisor_postgres_timeline").values()) == [2]
    assert list(metrics(w.pod, "podvisor_postgres_in_recovery").values()) == [0]
    assert w.pod.stop() == 0


# ---- a network of its own ----

# Two addresses; what the one sends to the other is dropped once it is cut. A resolver that says nothing, on the usual port.
NETWORK = """
import socket, subprocess, sys
def ip(words): subprocess.run(["ip", *words.split()], check=True)
ip("link set lo up")
for n in 1, 2: ip(f"addr add 10.9.9.{n}/32 dev lo")
ip("route replace table local local 10.9.9.1 dev lo src 10.9.9.2")
silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind(("127.0.0.1", 53))
print("there", flush=True)
for line in sys.stdin:
    ip("route add table 7 blackhole 10.9.9.2/32")
    ip("rule add pref 1 from 10.9.9.1 to 10.9.9.2 lookup 7")
    ip("rule add pref 2 lookup local")
    ip("rule del pref 0")
    print("cut", flush=True)
"""


class Network:
    def __init__(self):
        self.holder = subprocess.Popen(["unshare", "-n", "/usr/bin/python3", "-c", NETWORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.holder.stdout.readline() == "there\n"
        self.within = ("nsenter", f"--net=/proc/{self.holder.pid}/ns/net")

    def cut(self):
        self.holder.stdin.write("cut\n")
        self.holder.stdin.flush()
        assert self.holder.stdout.readline() == "cut\n"

    def end(self):
        self.holder.kill()
        self.holder.wait()


def lacks_namespaces():
    done = subprocess.run(["unshare", "-nm", "ip", "link", "set", "lo", "up"], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    return "" if done.returncode == 0 else f"a network namespace of one's own needs a capability: {done.stderr!r}"


@pytest.fixture
def network():
    lacks = lacks_namespaces()
    if lacks:
        pytest.skip(lacks)
    one = Network()
    yield one
    one.end()


def test_dropped_packets_are_down(podvisor, network):
    """D5."""
    far = Cluster(within=network.within, host="10.9.9.1")
    try:
        w = Watch(podvisor, f"host=10.9.9.1 port={far.port} user=boss dbname=postgres", wrapper=network.within).up()
        network.cut()
        w.begins()
        w.sees("packets dropped: down", "down", "unreachable")
        w.end()
    finally:
        far.end()


def test_a_silent_resolver_holds_nothing_up(podvisor, network, directory):
    """D6: the loop goes on meanwhile."""
    resolv = pathlib.Path(directory) / "resolv.conf"
    resolv.write_text("nameserver 127.0.0.1\noptions timeout:30\n")
    script = f"mount --bind {resolv} /etc/resolv.conf && exec \"$0\" \"$@\""
    w = Watch(podvisor, "host=db.example.test user=boss dbname=postgres", wrapper=(*network.within, "unshare", "-m", "sh", "-c", script))
    slowest = 0
    w.pod.wait_answer()
    def fails():
        nonlocal slowest
        began = time.monotonic()
        assert w.pod.ask("GET", "/livez").status == 200
        slowest = max(slowest, time.monotonic() - began)
        return failures(w.pod) >= 2 and state_of(w.pod)
    assert w.pod.wait("it fails", fails) == ("unknown", "unreachable")
    figure(f"silent resolver: /livez within {slowest * 1000:.0f} ms", time.monotonic() - w.began, w.pod)
    assert w.pod.stop() == 0
