"""A PostgreSQL of the test's own, and a wire to it that can be cut."""
import asyncio
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from supervised import DEADLINE_S, await_true


class Cluster:
    """A PostgreSQL of the test's own, run by an ordinary user."""
    BIN = pathlib.Path("/usr/lib/postgresql/15/bin")

    def __init__(self, tcp=False, host=None, within=(), env=None, options=()):
        """within: words in front of the server's, which exec it; env: beside podvisor's own, the server's."""
        self.host = host or ("127.0.0.1" if tcp else "")
        self.within, self.env, self.options = within, {**os.environ, **(env or {})}, options
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="podvisor-pg."))
        os.chown(self.path, self.user.pw_uid, self.user.pw_gid)
        self.run("initdb", "-D", str(self.path / "data"), "-U", "boss", "-A", "trust", "-N")
        if host:
            with open(self.path / "data" / "pg_hba.conf", "a", encoding="ascii") as hba:
                hba.write("host all all all trust\n")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.data = self.path / "data"
        self.dsn = f"host={self.path} port={self.port} user=boss dbname=postgres"
        self.log = open(self.path / "log", "wb")
        self.server = None
        self.start()

    def become(self):
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(self.user.pw_gid)
            os.setuid(self.user.pw_uid)

    def as_user(self):
        """In front of the server, when what stands before it has to be root."""
        return ("setpriv", f"--reuid={self.user.pw_uid}", f"--regid={self.user.pw_gid}", "--clear-groups") if self.within else ()

    def run(self, *argv):
        subprocess.run([self.BIN / argv[0], *argv[1:]], check=True, stdout=subprocess.DEVNULL, cwd="/", preexec_fn=self.become)

    def start(self):
        self.server = subprocess.Popen([*self.within, *self.as_user(), self.BIN / "postgres", "-D", self.data, "-k", self.path, "-h", self.host, "-p",
                                        str(self.port), "-F", "-c", "dynamic_shared_memory_type=mmap", *self.options], stdout=self.log, stderr=self.log, cwd="/",
                                       env=self.env, preexec_fn=None if self.within else self.become)
        await_true("PostgreSQL answers", lambda: subprocess.run(
            [self.BIN / "pg_isready", "-q", "-d", self.dsn], check=False).returncode == 0)

    def sql(self, text):
        return subprocess.run([self.BIN / "psql", "-XAtq", self.dsn, "-c", text], check=True, timeout=DEADLINE_S, text=True,
                              capture_output=True).stdout.strip()

    def stop(self):
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait(DEADLINE_S)

    def copy(self):
        """What a standby has that gets nothing more from now on."""
        self.run("pg_basebackup", "-D", str(self.path / "copy"), "-d", self.dsn, "-X", "stream", "-c", "fast")
        (self.path / "copy" / "standby.signal").touch()
        os.chown(self.path / "copy" / "standby.signal", self.user.pw_uid, self.user.pw_gid)

    def fail_over(self):
        """The copy takes the place of the server, and everything written since is lost."""
        self.stop()
        self.data = self.path / "copy"
        self.start()
        self.run("pg_ctl", "promote", "-D", str(self.data), "-w")

    def end(self):
        if self.server.poll() is None:
            self.server.kill()
            self.server.wait()
        self.log.close()
        shutil.rmtree(self.path, ignore_errors=True)


@pytest.fixture
def cluster():
    one = Cluster()
    yield one
    one.end()


@pytest.fixture(scope="module")
def shared_cluster():
    """For tests that leave it as it was."""
    one = Cluster(tcp=True)
    yield one
    one.end()


@pytest.fixture
def tcp_cluster():
    one = Cluster(tcp=True)
    yield one
    one.end()


class Wire:
    """A port that leads to the cluster's. Cut, it swallows nothing and passes nothing: as when packets are dropped."""

    def __init__(self, target):
        self.target = target
        self.loop, ready = asyncio.new_event_loop(), threading.Event()
        self.thread = threading.Thread(target=self._run, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(DEADLINE_S)

    def cut(self):
        self._call(self.whole.clear)

    def mend(self):
        self._call(self.whole.set)

    def close(self):
        self.loop.call_soon_threadsafe(self.over.set)
        self.thread.join(DEADLINE_S)

    def _call(self, what):
        done = threading.Event()
        self.loop.call_soon_threadsafe(lambda: (what(), done.set()))
        assert done.wait(DEADLINE_S)

    def _run(self, ready):
        self.loop.run_until_complete(self._serve(ready))
        self.loop.close()

    async def _serve(self, ready):
        self.over, self.whole = asyncio.Event(), asyncio.Event()
        self.whole.set()
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        ready.set()
        await self.over.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _take(self, reader, writer):
        await self.whole.wait()
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        try:
            await asyncio.gather(self._pass(reader, to_writer), self._pass(to_reader, writer))
        except OSError:
            pass
        finally:
            writer.transport.abort()
            to_writer.transport.abort()

    async def _pass(self, reader, writer):
        while data := await reader.read(65536):
            await self.whole.wait()
            writer.write(data)
            await writer.drain()
        writer.transport.abort()
