"""Replicas that share a lease, and what their workers stamped while they held it."""
import collections
import pathlib

from podvisor import SLOWER, wait_until

PYTHON = "/usr/bin/python3"
SLOW = max(1, int(SLOWER))
# Short terms, for short tests; the rules of the configuration hold. Stretched where everything is slow.
TTL_S = 3 * SLOW
TIMES = {"ttl": f"{3 * SLOW}s", "renew": f"{400 * SLOW}ms", "attempt": f"{500 * SLOW}ms", "drain_at": f"{1500 * SLOW}ms",
         "kill_at": f"{2200 * SLOW}ms"}
KILL_AT_S, HELD_AGAIN_S = 2.2 * SLOW, 3.9 * SLOW

# Appends a stamp of CLOCK_BOOTTIME while it runs; each line is one write, which is whole.
STAMP = """
import os, signal, sys, time
token, path = os.environ["PODVISOR_FENCING_TOKEN"], sys.argv[1]
out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def stamp(what): os.write(out, f"{token} {what} {time.clock_gettime(time.CLOCK_BOOTTIME):.6f} {os.environ['WHO']}\\n".encode())
def end(*_): stamp("end"); os._exit(0)
signal.signal(signal.SIGTERM, end if len(sys.argv) < 3 else signal.SIG_IGN)
stamp("start")
while True: time.sleep(0.01); stamp("beat")
"""


class Grant:
    """What the worker of one token has stamped."""

    def __init__(self, token, stamps):
        self.token, self.who = token, stamps[0][2]
        self.first, self.last = stamps[0][1], stamps[-1][1]


class Stage:
    """Replicas that share a database, and a file that their workers stamp."""

    def __init__(self, start, path, dsn):
        self.start, self.stamps, self.dsn = start, pathlib.Path(path) / "stamps", dsn
        self.env = {}  # of podvisor; or what makes it of the replica's name
        self.stamps.touch()

    def where(self, dsn):
        """Sections of the configuration that say where leases live, and what podvisor's environment says of it."""
        return {"postgres": {"main": {"dsn": dsn or self.dsn}}, "leases": {"postgres": "main"}}, {}

    def replica(self, name, dsn=None, stubborn=False, leases=None, **worker):
        command = [PYTHON, "-c", STAMP, str(self.stamps), *(["stubborn"] if stubborn else [])]
        sections, env = self.where(dsn)
        sections["leases"].update({**TIMES, **(leases or {})})
        workers = {"one": {"command": command, "lease": "indexer", "env": {"WHO": name}, **worker}}
        env = {**env, **(self.env(name) if callable(self.env) else self.env)}
        return self.start({"instance": name, **sections, "workers": workers}, env=env)

    def grants(self):
        """In the order of their first stamps."""
        found = collections.OrderedDict()
        for line in self.stamps.read_text().splitlines():
            token, what, at, who = line.split()
            found.setdefault(int(token), []).append((what, float(at), who))
        return [Grant(token, stamps) for token, stamps in found.items()]

    def newest(self):
        return self.grants()[-1]

    def await_grant(self, after=None, seconds=30):
        """A worker with another token than that of the grant; returns its grant."""
        def newer():
            grants = self.grants()
            return grants and (after is None or grants[-1].token != after.token) and grants[-1]
        return wait_until("another grant", newer, seconds)

    def assert_one_at_a_time(self):
        grants = self.grants()
        for one, next_one in zip(grants, grants[1:]):
            assert one.token < next_one.token, f"the token went from {one.token} to {next_one.token}"
            assert one.last < next_one.first, f"{one.who} still stamped {one.last - next_one.first:.3f} s after {next_one.who} began"
        return grants


def held(pod):
    return pod.status()["leases"][0]["held"]


def metric(pod, name):
    for line in pod.ask("GET", "/metrics").text.splitlines():
        if line.startswith(name + " ") or line.startswith(name + "{"):
            return float(line.rpartition(" ")[2])
    return None


def by_name(pods):
    return {pod.config["instance"]: pod for pod in pods}


# Stands by warm, as the book has it: first it waits for the signal, then it looks at the file.
WARM = """
import os, signal, sys, time
path = os.environ.get("PODVISOR_ACTIVATION_FILE")
out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
if os.environ.get("PODVISOR_STANDBY"):
    assert "PODVISOR_FENCING_TOKEN" not in os.environ
    time.sleep(float(os.environ.get("DAWDLE", "0")))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    while not os.path.exists(path): signal.sigtimedwait({signal.SIGUSR1}, 1000)
    os.environ["PODVISOR_FENCING_TOKEN"] = open(path).read().strip()
token = os.environ["PODVISOR_FENCING_TOKEN"]
def stamp(what): os.write(out, f"{token} {what} {time.clock_gettime(time.CLOCK_BOOTTIME):.6f} {os.environ['WHO']}\\n".encode())
def end(*_): stamp("end"); os._exit(0)
signal.signal(signal.SIGTERM, end)
stamp("start")
while True: time.sleep(0.01); stamp("beat")
"""
