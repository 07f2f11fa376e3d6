"""podvisor's gateway and its peers as proxies in front of one backend, and what their end does to WebSockets."""
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import tempfile
import time

import accounts
import processes
from processes import TooSlow
from subjects import PODVISOR, Subject, free_port, tool

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
PEER = tool("ws_peer")


class Proxy(Subject):
    """spread_s: over so long it may close its WebSockets when it is asked to end."""

    def is_there(self):
        return shutil.which(self.program, path=PATH) is not None

    def argv(self, place, fleet):
        return None  # it keeps no workers

    def command(self, place, port, to, spread_s):
        """Writes what it needs into place; returns what is executed."""
        raise NotImplementedError


class Gateway(Proxy):
    name = "podvisor"
    program = PODVISOR

    def command(self, place, port, to, spread_s):
        config = {"control": {"listen": "none", "socket": str(place / "control.sock")},
                  "shutdown": {"termination_log": "none"},
                  "gateway": {"listen": f"127.0.0.1:{port}", "routes": [{"path": "/", "to": f"127.0.0.1:{to}"}],
                              "drain": {"lame_duck": "500ms", "spread": f"{spread_s}s"}}}
        (place / "podvisor.json").write_text(json.dumps(config))
        return [self.program, "run", "-c", str(place / "podvisor.json")]


class Nginx(Proxy):
    """buffer: of a connection and direction; None: its default, 4 KiB."""
    program = "nginx"
    stop_signal = signal.SIGQUIT  # the graceful one

    def __init__(self, name="nginx", buffer=None):
        self.name = name
        self.buffers = f"proxy_buffer_size {buffer}; proxy_buffers 8 {buffer}; proxy_busy_buffers_size 128k;" if buffer else ""

    def command(self, place, port, to, spread_s):
        paths = "".join(f"{kind}_temp_path {place}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root root; " if os.geteuid() == 0 else ""
        (place / "nginx.conf").write_text(f"""
            daemon off; {user}worker_processes 1; pid {place}/pid; error_log {place}/error crit; worker_rlimit_nofile 20000;
            worker_shutdown_timeout {spread_s}s;
            events {{ worker_connections 19950; multi_accept on; }}
            http {{
                access_log off; proxy_read_timeout 3600s; proxy_send_timeout 3600s; keepalive_requests 100000000; {paths}
                {self.buffers}
                map $http_upgrade $onward {{ default upgrade; "" ""; }}
                upstream one {{ server 127.0.0.1:{to}; keepalive 1024; keepalive_requests 100000000; }}
                server {{
                    listen 127.0.0.1:{port} backlog=4096;
                    location / {{
                        proxy_pass http://one; proxy_http_version 1.1;
                        proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $onward;
                    }}
                }}
            }}""")
        return [shutil.which(self.program, path=PATH), "-p", str(place), "-e", str(place / "error"), "-c", str(place / "nginx.conf")]


class Haproxy(Proxy):
    name = program = "haproxy"
    stop_signal = signal.SIGUSR1  # the soft one

    def command(self, place, port, to, spread_s):
        (place / "haproxy.cfg").write_text(f"""
global
    nbthread 1
    maxconn 9900
    hard-stop-after {spread_s}s
    close-spread-time {spread_s}s
defaults
    mode http
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend all
    bind 127.0.0.1:{port} backlog 4096
    default_backend one
backend one
    http-reuse always
    server one 127.0.0.1:{to}
""")
        return [shutil.which(self.program, path=PATH), "-db", "-f", str(place / "haproxy.cfg")]


PEERS = [Nginx(), Nginx("nginx64", "64k"), Haproxy()]


def await_port(port, seconds=20):
    limit = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        if time.monotonic() > limit:
            raise TooSlow(f"nobody listens at port {port}")
        time.sleep(0.01)


class Stage:
    """A backend, a proxy in front of it, and clients. Use it as a context; its end leaves nothing."""

    def __init__(self, bench, proxy, backend, spread_s):
        """backend: the words behind `serve`, with the program in front."""
        self.place = pathlib.Path(tempfile.mkdtemp(prefix="p", dir=bench.place))
        self.port, to = free_port(), free_port()
        self.proxy, self.pids = proxy, []
        self.backend = self.spawn([backend[0], "serve", "--listen", f"127.0.0.1:{to}", "--report", str(self.place / "backend"), *backend[1:]])
        await_port(to)
        self.pid = self.spawn(self.seat(proxy.command(self.place, self.port, to, spread_s)))
        await_port(self.port)

    def seat(self, argv):
        """What makes the proxy run where it shall."""
        return argv

    def spawn(self, argv, stdout=None):
        with open(self.place / "log", "ab") as log:
            self.pids.append(processes.spawn(argv, stdout=stdout or log.fileno(), stderr=log.fileno()))
        return self.pids[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in self.pids:
            processes.end(pid)
        shutil.rmtree(self.place, ignore_errors=True)

    def open(self, count, *words, seconds=60):
        """Returns when all are open."""
        reader, writer = os.pipe()
        self.load = self.spawn([PEER, "load", "--connect", f"127.0.0.1:{self.port}", "--count", str(count),
                                "--report", str(self.place / "clients"), *words], stdout=writer)
        os.close(writer)
        ready, _, _ = select.select([reader], [], [], seconds)
        told = ready and os.read(reader, 100)
        os.close(reader)
        if not told:
            raise TooSlow(f"{self.proxy.name}: not all of {count} WebSockets are open after {seconds} s")

    def drain(self, seconds=90):
        """Asks the proxy to end; returns both ends' accounts when no client is left."""
        endings = processes.Endings([self.load])
        processes.kill(self.pid, self.proxy.stop_signal)
        left = endings.wait(time.monotonic_ns() + seconds * 1_000_000_000)
        endings.close()
        if left:
            raise TooSlow(f"{self.proxy.name}: WebSockets are open {seconds} s after its end was asked for")
        processes.end(self.pid)
        processes.kill(self.backend, signal.SIGTERM)
        processes.wait(self.backend)
        return [json.loads((self.place / name).read_text()) for name in ("clients", "backend")]


# ---- the row ----

LATE_MS = 20  # a client may learn so much later that it was cut, on a busy machine: what came meanwhile is not held against anybody


def percent_told(report, count):
    """Of so many, how many saw one proper Close and the orderly end."""
    return 100 * report["clean"] / count


def drain_many(bench, proxy, count, spread_s):
    with Stage(bench, proxy, [PEER, "--every", "500"], spread_s) as stage:
        stage.open(count, "--every", "500", "--heard")
        clients, backend = stage.drain()
    both = accounts.Pairs(clients, backend)
    bench.add("drain-told", proxy.name, percent_told(clients, count))
    bench.add("drain-backend", proxy.name, percent_told(backend, count))
    bench.add("drain-peak", proxy.name, clients["peak_ends_100ms"] / (count / spread_s / 10))
    bench.add("drain-lost", proxy.name, both.lost_up() + sum(early >= LATE_MS for early in both.finished_before_end()))


def drain_trickling(bench, proxy):
    count = 50
    with Stage(bench, proxy, [PEER, "--every", "2600", "--parts", "26", "--size", "2600"], 1) as stage:
        stage.open(count)
        clients, _ = stage.drain()
    bench.add("drain-frame", proxy.name, percent_told(clients, count))


def drain(bench):
    for proxy in [Gateway(), *bench.peers("nginx", "haproxy")]:
        drain_many(bench, proxy, bench.websockets, bench.spread_s)
        drain_trickling(bench, proxy)
