"""Clients that are slow, greedy or say nothing: podvisor's memory stays within what the limits allow, everything ends by
the time-outs, others are served meanwhile, and afterwards the memory is given back. Figures are printed (pytest -s)."""
import contextlib
import os
import resource
import selectors
import socket
import threading
import time

import pytest

import podvisor as library
from acceptor import Acceptor

SCALE = 1 if library.SLOWER == 1 else 10  # under sanitizers and valgrind there are fewer of everything
PATIENCE_S = 60 * library.SLOWER
HEAD_LIMIT = 16 * 1024
IDLE_BYTES = 2048  # a connection that holds nothing; podvisor's own part of it, generously
SLACK_BYTES = 3 << 20  # what an allocator may keep, and tables that have grown
LARGE = 8 << 20
BODY = bytes(LARGE)


class Backend:
    """Answers each request with its path, /large with BODY, /wait when it is released. begun, over: of /large and /wait
    together, how many were asked for, and how many of those are answered or given up."""

    def __init__(self):
        self.released = threading.Event()
        self.begun, self.over = 0, 0
        self.lock = threading.Lock()
        self.acceptor = Acceptor(self._serve, backlog=4096)
        self.port = self.acceptor.port

    def _serve(self, connection):
        data = b""
        with connection, contextlib.suppress(OSError):
            while got := connection.recv(65536):
                data += got
                while b"\r\n\r\n" in data:
                    head, _, data = data.partition(b"\r\n\r\n")
                    self._answer(connection, head.split()[1])

    def _answer(self, connection, path):
        if path not in (b"/large", b"/wait"):
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(path), path))
            return
        with self.lock:
            self.begun += 1
        try:
            if path == b"/wait":
                self.released.wait(PATIENCE_S)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n/wait")
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LARGE)
                connection.sendall(BODY)
        finally:
            with self.lock:
                self.over += 1

    def close(self):
        self.released.set()
        self.acceptor.close()


@pytest.fixture(autouse=True)
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def backend():
    one = Backend()
    yield one
    one.close()


class Gateway:
    """podvisor, and what its memory was when it had nothing to do."""

    def __init__(self, podvisor, backend, workers=None, limits=None, wrapper=(), **timeouts):
        self.port = library.free_port()
        timeouts = {key: f"{seconds * library.SLOWER:g}s" for key, seconds in timeouts.items()}
        self.pod = podvisor({"workers": workers or {},
                             "gateway": {"listen": f"127.0.0.1:{self.port}", "timeouts": timeouts, "limits": limits or {},
                                         "routes": [{"path": "/", "to": f"127.0.0.1:{backend.port}"}],
                                         "drain": {"lame_duck": "0s", "linger": "1s"}}}, wrapper=wrapper)
        self.pod.wait_log(msg="the gateway listens")
        for _ in range(200):
            self.ask()
        self.before = self.memory()

    def memory(self):
        """Bytes that nobody shares."""
        lines = open(f"/proc/{self.pod.pid}/smaps_rollup").read().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) * 1024

    def growth(self):
        """0 under sanitizers and valgrind, which keep what was freed: there the rest is tested."""
        return self.memory() - self.before if SCALE == 1 else 0

    def connect(self, data=b"", receives=None):
        """receives: the size of its receive buffer, before it has to read."""
        client = socket.socket()
        client.settimeout(PATIENCE_S)
        if receives:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        client.connect(("127.0.0.1", self.port))
        if data:
            client.sendall(data)
        return client

    def ask(self):
        """Another client's request, on a connection of its own."""
        with self.connect(b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") as client:
            return read_all(client).endswith(b"/other")

    def assert_others_are_served(self, count=100):
        assert [self.ask() for _ in range(count)] == [True] * count

    def assert_given_back(self, allowed=0):
        """Within the patience, for ends of connections are noticed one after the other."""
        library.wait_until("the memory is given back", lambda: self.growth() <= allowed + SLACK_BYTES, 30,
                           lambda: f"{self.growth() >> 10} KiB more than before, {allowed + SLACK_BYTES >> 10} allowed")
        return self.growth()


def read_all(client):
    data = b""
    while got := client.recv(65536):
        data += got
    return data


class Told:
    """What a client was told before its end: how it begins, how much it is, whether a reset was the end."""

    def __init__(self):
        self.text, self.size, self.reset = b"", 0, False

    def take(self, got):
        self.text = (self.text + got[:4096])[:4096]
        self.size += len(got)


def ends_of(clients):
    """Awaits the end of each."""
    told = {client: Told() for client in clients}
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        until = time.monotonic() + PATIENCE_S
        while selector.get_map():
            assert time.monotonic() < until, f"{len(selector.get_map())} of {len(clients)} have not ended"
            for key, _ in selector.select(1):
                client = key.fileobj
                try:
                    got = client.recv(1 << 18)
                except ConnectionError:
                    got, told[client].reset = b"", True
                told[client].take(got)
                if not got:
                    selector.unregister(client)
                    client.close()
    return list(told.values())


def kib(number):
    return f"{number >> 10:,} KiB"


def test_ten_thousand_that_say_nothing_or_half_of_a_head(podvisor, backend):
    count, half = 10_000 // SCALE, b"GET /half HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 400
    gateway = Gateway(podvisor, backend, header=8)
    clients = [gateway.connect(half if i % 2 else b"") for i in range(count)]
    gateway.assert_others_are_served()
    growth = gateway.growth()
    assert growth <= count * IDLE_BYTES + count // 2 * 2 * len(half) + SLACK_BYTES, kib(growth)
    told = ends_of(clients)
    assert sum(one.text.startswith(b"HTTP/1.1 408 ") for one in told) == count // 2
    assert sum(one.size == 0 and not one.reset for one in told) == count // 2
    after = gateway.assert_given_back()
    print(f"\n{count} half-open connections: {kib(growth)} ({growth // count} bytes each), {kib(after)} afterwards")
    assert gateway.pod.stop() == 0


def test_heads_that_come_byte_by_byte(podvisor, backend):
    count = 400 // SCALE
    gateway = Gateway(podvisor, backend, header=3)
    clients, served, head = [gateway.connect() for _ in range(count)], 0, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 10_000
    until = time.monotonic() + PATIENCE_S
    for at in range(len(head)):
        alive = [client for client in clients if say(client, head[at:at + 1])]
        served += gateway.ask()
        if not alive:
            break
        assert time.monotonic() < until, "they go on for ever"
    growth = gateway.growth()
    assert served == at + 1
    assert growth <= count * (IDLE_BYTES + 1024) + SLACK_BYTES, kib(growth)
    told = ends_of(clients)
    assert all(one.reset or one.text.startswith(b"HTTP/1.1 408 ") for one in told)
    print(f"\n{count} heads byte by byte: {kib(growth)}; {served} others were served; {sum(one.reset for one in told)} resets")


def say(client, data):
    try:
        client.sendall(data)
    except OSError:
        return False
    return True


def test_heads_of_64_mib(podvisor, backend):
    gateway = Gateway(podvisor, backend)
    told, most = [], 0

    def talk():
        piece = b"X: " + b"x" * 65531 + b"\r\n"
        with gateway.connect(b"GET / HTTP/1.1\r\nHost: a\r\n") as client:
            for _ in range((64 << 20) // len(piece)):
                if not say(client, piece):
                    break
            with contextlib.suppress(ConnectionError):
                told.append(client.recv(65536))

    threads = [threading.Thread(target=talk) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert gateway.ask()
        most = max(most, gateway.growth())
    assert most <= len(threads) * 8 * HEAD_LIMIT + SLACK_BYTES, kib(most)
    assert all(text.startswith(b"HTTP/1.1 431 ") for text in told if text)
    print(f"\n8 heads of 64 MiB: {kib(most)}; {len(told)} were told so")


def test_large_responses_that_are_not_read(podvisor, backend):
    count = 300 // SCALE
    gateway = Gateway(podvisor, backend, idle=4)
    clients = [gateway.connect(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n", receives=65536) for _ in range(count)]
    most, served = 0, 0
    until = time.monotonic() + PATIENCE_S
    while backend.over < count:
        served += gateway.ask()
        most = max(most, gateway.growth())
        assert time.monotonic() < until, f"{backend.over} of {count} are over"
    assert most <= count * (IDLE_BYTES + 3 * 65536) + SLACK_BYTES, kib(most)
    after = gateway.assert_given_back()
    assert all(one.size < LARGE for one in ends_of(clients)), "one had it all"
    print(f"\n{count} large responses that are not read: {kib(most)} ({most // count} bytes each), {served} others were "
          f"served, {kib(after)} afterwards")


def test_large_responses_that_are_read_slowly_arrive_whole(podvisor, backend):
    gateway = Gateway(podvisor, backend, idle=4)
    clients = [gateway.connect(b"GET /large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") for _ in range(20)]
    gateway.assert_others_are_served(20)
    heads = [client.recv(4096) for client in clients]
    assert all(head.startswith(b"HTTP/1.1 200 ") for head in heads)
    for head, rest in zip(heads, ends_of(clients)):
        assert len(head) + rest.size == len(head.partition(b"\r\n\r\n")[0]) + 4 + LARGE
    gateway.assert_given_back()


def test_after_a_burst_idle_connections_hold_no_buffers(podvisor, backend):
    count = 2000 // SCALE
    gateway = Gateway(podvisor, backend)
    head = b"GET /burst HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (HEAD_LIMIT - 100)
    clients = [gateway.connect(head) for _ in range(count)]
    gateway.assert_others_are_served(10)  # by then it has read what came before
    burst = gateway.growth()
    assert burst <= count * (IDLE_BYTES + 2 * HEAD_LIMIT) + SLACK_BYTES, kib(burst)
    for client in clients:
        client.sendall(b"\r\n\r\n")
    for client in clients:
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    idle = gateway.assert_given_back(count * IDLE_BYTES)
    for client in clients:
        client.close()
    after = gateway.assert_given_back()
    print(f"\nheads of 16 KiB on {count} connections: {kib(burst)}; idle: {kib(idle)} ({idle // count} bytes each); {kib(after)} afterwards")


def test_what_is_sent_ahead_of_its_turn_is_bounded(podvisor, backend):
    count = 500 // SCALE
    gateway = Gateway(podvisor, backend)
    clients = [gateway.connect(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(count)]
    for client in clients:
        client.setblocking(False)
    more = b"GET /ahead HTTP/1.1\r\nHost: a\r\n\r\n" * 8000
    for client in clients:
        with contextlib.suppress(BlockingIOError):
            client.send(more)
    gateway.assert_others_are_served(20)
    growth = gateway.growth()
    print(f"\n{count} clients that send ahead: {kib(growth)} ({growth // count} bytes each)")
    assert growth <= count * (IDLE_BYTES + 2 * HEAD_LIMIT) + SLACK_BYTES, kib(growth)
    for client in clients:
        client.close()
    backend.released.set()
    gateway.assert_given_back()


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_more_clients_than_descriptors_leave_some_for_those_inside_and_for_workers(podvisor, backend):
    worker = {"command": ["/bin/sleep", "10000"], "readiness": {"exec": ["/bin/true"], "interval": "100ms"}}
    gateway = Gateway(podvisor, backend, header=PATIENCE_S, workers={"api": worker}, wrapper=("prlimit", "--nofile=400:400"))
    pod = gateway.pod
    pod.wait_worker("api", state="ready")
    inside = [gateway.connect() for _ in range(10)]
    clients = [gateway.connect(b"GET /half") for _ in range(500)]
    held = library.wait_until("many are accepted", lambda: descriptors_of(pod.pid) > 340 and descriptors_of(pod.pid))
    for client in inside:
        client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")  # each takes a connection to the backend
    library.wait_until("the requests are at the backend", lambda: backend.begun == len(inside))
    run = pod.worker("api")["run"]
    assert pod.cli("restart", "api").code == 0
    pod.wait_worker("api", state="ready", unless=lambda found: found["run"] <= run)
    backend.released.set()
    for client in inside:
        assert client.recv(4096).endswith(b"/wait")
        client.close()
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        assert selector.select(0) == [], "one of those outside had to go first"
    for client in clients:
        client.close()
    gateway.assert_others_are_served(20)
    print(f"\n500 clients for 400 descriptors: {held} were in use while a worker was restarted")


@library.not_under_valgrind("it keeps the limit of descriptors at what it was at the start")
def test_the_gateway_takes_what_the_hard_limit_allows_and_workers_keep_the_soft_one(podvisor, backend):
    show = {"kind": "task", "command": ["/bin/sh", "-c", "echo limits $(ulimit -Sn) $(ulimit -Hn)"]}
    gateway = Gateway(podvisor, backend, workers={"show": show}, wrapper=("prlimit", "--nofile=200:2000"))
    gateway.pod.wait_log(worker="show", msg="limits 200 2000")
    clients = [gateway.connect(b"GET /half") for _ in range(600)]
    library.wait_until("all are accepted", lambda: descriptors_of(gateway.pod.pid) >= 600)
    gateway.assert_others_are_served(10)
    for client in clients:
        client.close()


def test_connections_that_linger_count_as_connections(podvisor, backend):
    gateway = Gateway(podvisor, backend, limits={"connections": 50})
    pod, idle = gateway.pod, descriptors_of(gateway.pod.pid)
    # Each is refused at once, and lingers for as long as it does not end its side.
    clients = [gateway.connect(b"nonsense\r\n\r\n") for _ in range(150)]
    most = 0
    for client in clients:
        assert client.recv(4096).startswith(b"HTTP/1.1 400 ")
        most = max(most, descriptors_of(pod.pid))
    assert most <= idle + 50 + 8
    for client in clients:
        client.close()
    print(f"\n150 refused clients that linger, 50 allowed: {most - idle} descriptors")
