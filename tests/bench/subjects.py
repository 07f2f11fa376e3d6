"""What is measured: podvisor, its peers, and a floor without features, each told in its own language to keep the
same workers."""
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import processes

ROOT = pathlib.Path(__file__).resolve().parents[2]
PODVISOR = os.environ.get("PODVISOR", str(ROOT / "build" / "podvisor"))
TOOLS = pathlib.Path(os.environ.get("PODVISOR_BENCH", pathlib.Path(PODVISOR).parent / "bench"))


def tool(name):
    return str(TOOLS / name)


@dataclasses.dataclass
class Fleet:
    """count times the command, killed stop_s after it was asked to stop."""
    count: int
    command: list
    stop_s: int = 2


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Subject:
    name = program = None
    stop_signal = signal.SIGTERM

    def is_there(self):
        return shutil.which(self.program) is not None

    def argv(self, place, fleet):
        """Writes what it needs into place; returns what is executed."""
        raise NotImplementedError

    def argv_alone(self, command):
        """For those that run one command; None for the others."""
        return None


class Floor(Subject):
    name = "floor"
    program = tool("floor")

    def argv(self, place, fleet):
        return [self.program, str(fleet.count), str(fleet.stop_s), *fleet.command]


class Podvisor(Subject):
    name = "podvisor"
    program = PODVISOR

    def __init__(self, **sections):
        self.sections = sections

    def worker(self, fleet):
        return {"command": fleet.command, "stop": {"timeout": f"{fleet.stop_s}s"},
                "restart": {"backoff": {"reset_after": "1s"}, "limit": {"window": "1s"}}}

    def config(self, place, fleet):
        return {"control": {"listen": "none", "socket": str(place / "control.sock")},
                "shutdown": {"termination_log": "none"},
                "workers": {f"w{i}": self.worker(fleet) for i in range(fleet.count)}, **self.sections}

    def argv(self, place, fleet):
        (place / "podvisor.json").write_text(json.dumps(self.config(place, fleet)))
        return [self.program, "run", "-c", str(place / "podvisor.json")]

    def argv_alone(self, command):
        return [self.program, "run", "--", *command]


class PodvisorWithEverything(Podvisor):
    """Control and gateway listen; dsn (None: not even that): a PostgreSQL is watched."""

    def __init__(self, dsn=None, name="podvisor, all on", **sections):
        super().__init__(**sections)
        self.name, self.dsn = name, dsn

    def config(self, place, fleet):
        config = super().config(place, fleet)
        config["control"]["listen"] = f"127.0.0.1:{free_port()}"
        config["gateway"] = {"listen": f"127.0.0.1:{free_port()}",
                             "routes": [{"path": "/", "worker": "w0", "to": f"127.0.0.1:{free_port()}"}]}
        if self.dsn:
            config["postgres"] = {"main": {"dsn": self.dsn}}
        return config


def write_services(place, fleet, extra=lambda directory: None):
    """A directory with one service directory a worker, as s6 and runit want them."""
    scan = place / "services"
    for i in range(fleet.count):
        directory = scan / f"w{i}"
        directory.mkdir(parents=True)
        run = directory / "run"
        run.write_text("#!/bin/sh\nexec " + " ".join(fleet.command) + "\n")
        run.chmod(0o755)
        extra(directory)
    return str(scan)


class S6(Subject):
    name = "s6"
    program = "s6-svscan"

    def argv(self, place, fleet):
        def limit(directory):
            (directory / "timeout-kill").write_text(f"{fleet.stop_s * 1000}\n")
        return [self.program, "-c", str(max(fleet.count * 2, 500)), write_services(place, fleet, limit)]


class Runit(Subject):
    name = "runit"
    program = "runsvdir"
    stop_signal = signal.SIGHUP  # SIGTERM leaves everything running, by design

    def argv(self, place, fleet):
        return [self.program, write_services(place, fleet)]


class Supervisord(Subject):
    name = "supervisord"
    program = "supervisord"

    def argv(self, place, fleet):
        text = [f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={place}/pid\n"
                f"childlogdir={place}\nminfds={4 * fleet.count + 64}\n"]
        for i in range(fleet.count):
            text.append(f"[program:w{i}]\ncommand={' '.join(fleet.command)}\nstartsecs=0\nautorestart=true\n"
                        f"stopwaitsecs={fleet.stop_s}\nstdout_logfile=NONE\nstderr_logfile=NONE\n")
        (place / "supervisord.conf").write_text("\n".join(text))
        return [self.program, "-n", "-c", str(place / "supervisord.conf")]


class Init(Subject):
    """One command and nothing else: tini, dumb-init."""

    def __init__(self, name):
        self.name = self.program = name

    def argv(self, place, fleet):
        return self.argv_alone(fleet.command) if fleet.count == 1 else None

    def argv_alone(self, command):
        return [self.program, "--", *command]


PEERS = [Floor(), S6(), Runit(), Supervisord(), Init("tini"), Init("dumb-init")]


class Running:
    """One subject at work, in a directory of its own. Use it as a context; its end leaves nothing."""

    def __init__(self, bench, subject, fleet=None, *, alone=None, wrap=()):
        """fleet's or alone's command may have {stamps} in it."""
        self.subject, self.fleet = subject, fleet
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="r", dir=bench.place))
        self.stamps = processes.Stamps(str(self.place / "stamps"))
        self.workers, self.daemons = [], []
        if alone:
            argv = subject.argv_alone(self.fill_in(alone))
        else:
            argv = subject.argv(self.place, dataclasses.replace(fleet, command=self.fill_in(fleet.command)))
        self.log = self.place / "log"
        with open(self.log, "wb") as out:
            self.pid = processes.spawn([tool("launch"), self.stamps.path, *wrap, *argv], stdout=out.fileno(),
                                       stderr=out.fileno())

    def fill_in(self, command):
        return [word.replace("{stamps}", self.stamps.path) for word in command]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        processes.end(self.pid)
        self.stamps.close()
        shutil.rmtree(self.place, ignore_errors=True)

    def await_workers(self, seconds=120):
        """Milliseconds from the exec to the first and to the last worker."""
        (start, _), = self.stamps.take(processes.EXEC)
        stamps = self.stamps.take(processes.WORKER, self.fleet.count, seconds)
        self.workers = [pid for _, pid in stamps]
        return (min(stamps)[0] - start) / 1e6, (max(stamps)[0] - start) / 1e6

    def await_daemons(self, count):
        self.daemons = [pid for _, pid in self.stamps.take(processes.DAEMON, count)]

    def supervisors(self):
        """Pids of the supervisor and its helpers: all but the workers and theirs."""
        return [self.pid] + [pid for pid in processes.descendants(self.pid)
                             if pid not in self.workers and pid not in self.daemons]

    def await_log(self, text, seconds=30):
        limit = time.monotonic() + seconds
        while text not in self.log.read_text(errors="replace"):
            if time.monotonic() > limit:
                raise processes.TooSlow(f"no {text!r} in the log of {self.subject.name}")
            time.sleep(0.02)


class Postgres:
    """A throw-away server that listens on a socket in a directory of its own."""

    @staticmethod
    def is_there():
        return Postgres.programs() is not None

    @staticmethod
    def programs():
        found = pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")
        return max((path.parent for path in found), default=None)

    def __init__(self, place):
        self.bin = self.programs()
        self.place = pathlib.Path(place) / "pg"
        self.place.mkdir()
        as_whom = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self.place, "postgres", "postgres")
            as_whom = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"]
        data = str(self.place / "data")
        subprocess.run([*as_whom, self.bin / "initdb", "-D", data, "-A", "trust", "-N", "-U", "bench"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = processes.spawn([*as_whom, str(self.bin / "postgres"), "-D", data, "-k", str(self.place),
                                    "-c", "listen_addresses=", "-c", "fsync=off",
                                    "-c", "dynamic_shared_memory_type=mmap"])
        self.dsn = f"host={self.place} user=bench dbname=postgres"

    def end(self):
        """In order, so that it leaves no shared memory."""
        processes.kill(self.pid, signal.SIGINT)
        processes.wait(self.pid)
