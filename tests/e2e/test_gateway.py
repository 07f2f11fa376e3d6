"""The gateway in front of a real worker: what the worker's restarts and the pod's end look like to its clients."""
import os
import pathlib
import selectors
import signal
import socket
import struct
import sys
import threading
import time

import peers
import podvisor as library
from supervised import arguments_of

BACKEND = str(pathlib.Path(__file__).with_name("gateway_backend.py"))
PATIENCE_S = 15 * library.SLOWER


class Client:
    """A connection to the gateway; HTTP, or after upgrade() a WebSocket."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self.bytes = b""

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def more(self):
        """False at the end of the stream."""
        got = self.socket.recv(65536)
        self.bytes += got
        return bool(got)

    def take(self, n):
        while len(self.bytes) < n:
            assert self.more(), f"the end after {self.bytes!r}"
        taken, self.bytes = self.bytes[:n], self.bytes[n:]
        return taken

    def head(self):
        while b"\r\n\r\n" not in self.bytes:
            assert self.more(), f"the end after {self.bytes!r}"
        head, _, self.bytes = self.bytes.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:])
        return int(lines[0].split()[1]), fields

    def ask(self, path):
        self.send(f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode())

    def answer(self):
        status, fields = self.head()
        return status, fields, self.take(int(fields["content-length"])).decode()

    def get(self, path):
        self.ask(path)
        return self.answer()

    def upgrade(self):
        self.send(b"GET /live HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        status, fields = self.head()
        assert (status, fields["sec-websocket-accept"]) == (101, "s3pplmbitxaq9kygzzhzrbk+xoo=")
        assert self.frame() == (1, b"hello")
        return self

    def frame(self):
        first, length = self.take(2)
        if length == 126:
            length, = struct.unpack(">H", self.take(2))
        return first & 15, self.take(length)

    def say(self, opcode, payload):
        key = b"\x12\x34\x56\x78"
        self.send(bytes([0x80 | opcode, 0x80 | len(payload)]) + key + bytes(b ^ key[i % 4] for i, b in enumerate(payload)))

    def assert_ended(self):
        assert not self.more(), self.bytes


def websockets(port, count):
    return [Client(port).upgrade() for _ in range(count)]


def goodbyes(clients):
    """Reads all of them to their end, answering Close as RFC 6455 asks; for each the frames it saw."""
    frames = {client: [] for client in clients}
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        end = time.monotonic() + 2 * PATIENCE_S
        while selector.get_map():
            assert time.monotonic() < end, f"{len(selector.get_map())} of {len(clients)} have not ended"
            for key, _ in selector.select(1):
                client = key.data
                if not client.more():
                    selector.unregister(client.socket)
                    assert client.bytes == b"", "cut within a frame"
                    continue
                while len(client.bytes) >= 2 and len(client.bytes) >= 2 + client.bytes[1]:
                    opcode, payload = client.frame()
                    frames[client].append((opcode, payload))
                    if opcode == 8:
                        client.say(8, payload[:2])
    return list(frames.values())


def close_frame(code, reason):
    return 8, struct.pack(">H", code) + reason


RESTART = close_frame(1012, b"service restart")


def start(podvisor, drain=None, **gateway):
    """A pod whose backend is ready, and the gateway's port."""
    port, to = library.free_port(), library.free_port()
    pod = podvisor({
        "workers": {"api": {"command": ["/usr/bin/python3", BACKEND, str(to)], "readiness": {"tcp": f"127.0.0.1:{to}", "interval": "200ms"},
                            "stop": {"phase": "after-drain"}}},
        "gateway": {"listen": f"127.0.0.1:{port}", "routes": [{"path": "/", "worker": "api", "to": f"127.0.0.1:{to}"}],
                    "drain": {"lame_duck": "300ms", "spread": "1500ms", **(drain or {})}, **gateway}})
    pod.wait_log(worker="api", msg="ready: pid")
    pod.wait_log(msg="the gateway listens")
    return pod, port


def backend_pid(pod):
    def found():
        return next((pid for pid in pod.processes() if BACKEND in arguments_of(pid)[:2]), None)
    return pod.wait("the backend", found)


def position(pod, **fields):
    """Index in the log of the first line that fits."""
    lines = pod.log()
    return lines.index(pod.log(**fields)[0])


def test_requests_and_websockets_reach_the_worker(podvisor):
    pod, port = start(podvisor)
    client = Client(port)
    assert client.get("/a?b")[::2] == (200, "/a?b")
    assert client.get("/again")[::2] == (200, "/again")
    live = Client(port).upgrade()
    live.say(1, b"ping pong")
    assert live.frame() == (1, b"ping pong")
    live.say(8, struct.pack(">H", 1000))
    assert live.frame() == close_frame(1000, b"")
    live.assert_ended()
    pod.wait_log(worker="api", msg="goodbye", code=1000)
    assert pod.stop() == 0


def test_at_the_pod_s_end_every_websocket_is_told_1012_on_both_sides_before_the_worker_is_stopped(podvisor):
    pod, port = start(podvisor)
    clients = websockets(port, 60)
    for client in clients[::3]:
        client.say(1, b"trickle")  # a frame that is under way when the drain comes
    os.kill(pod.pid, signal.SIGTERM)
    seen = goodbyes(clients)
    assert pod.wait_end() == 0, pod.tail()
    for i, frames in enumerate(seen):
        assert frames == ([(1, b"tric"), RESTART] if i % 3 == 0 else [RESTART])
    assert [entry["code"] for entry in pod.log(worker="api", msg="goodbye")] == [1012] * 60
    assert pod.log(worker="api", msg="sigterm")[0]["open"] == 0
    pod.assert_nothing_left()


def test_a_lame_duck_accepts_and_then_requests_in_flight_are_finished(podvisor):
    pod, port = start(podvisor, drain={"lame_duck": "1s"})
    idle = Client(port)
    assert idle.get("/before")[0] == 200
    os.kill(pod.pid, signal.SIGTERM)
    pod.wait_log(msg="lame-duck")
    late = Client(port)
    status, fields, _ = late.get("/late")
    assert (status, fields["connection"]) == (200, "close")
    late.assert_ended()
    slow = Client(port)
    slow.ask("/slow")
    pod.wait_log(worker="api", msg="slow begins")
    idle.assert_ended()
    assert slow.answer()[::2] == (200, "/slow")
    slow.assert_ended()
    assert pod.wait_end() == 0
    assert position(pod, worker="api", msg="slow begins") < position(pod, worker="api", msg="sigterm")


def test_a_worker_that_is_killed_has_its_websockets_told_and_its_requests_held(podvisor):
    pod, port = start(podvisor)
    clients = websockets(port, 10)
    waiting = Client(port)
    assert waiting.get("/before")[0] == 200
    os.kill(backend_pid(pod), signal.SIGKILL)
    assert goodbyes(clients) == [[RESTART]] * 10
    assert waiting.get("/after")[::2] == (200, "/after")
    assert waiting.get("/more")[::2] == (200, "/more")
    assert pod.stop() == 0


def test_a_request_that_the_killed_worker_had_is_a_502(podvisor):
    pod, port = start(podvisor)
    client = Client(port)
    client.ask("/slow")
    pod.wait_log(worker="api", msg="slow begins")
    os.kill(backend_pid(pod), signal.SIGKILL)
    assert client.answer()[0] == 502
    assert pod.stop() == 0


class Asking(threading.Thread):
    """A client that asks again and again until it is told to stop. asked: (when it began, when it was answered, status)."""

    def __init__(self, port, path):
        super().__init__(daemon=True)
        self.port, self.path, self.enough, self.asked = port, path, threading.Event(), []
        self.start()

    def run(self):
        client = Client(self.port)
        while not self.enough.is_set():
            began = time.monotonic()
            status, fields, _ = client.get(self.path)
            self.asked.append((began, time.monotonic(), status))
            if fields.get("connection") == "close":
                client = Client(self.port)

    def since(self, moment):
        """Statuses of what was asked after it."""
        return [status for began, _, status in self.asked if began > moment]


def test_under_load_a_killed_worker_costs_no_more_than_it_had_at_work(podvisor, tmp_path):
    sockets, to, live = 300, library.free_port(), library.free_port()
    port = library.free_port()
    there = lambda number: {"tcp": f"127.0.0.1:{number}", "interval": "200ms"}
    pod = podvisor({
        "workers": {"api": {"command": ["/usr/bin/python3", BACKEND, str(to)], "readiness": there(to), "stop": {"phase": "after-drain"}},
                    "live": {"command": peers.server(live, tmp_path / "report", "--every", "100"), "readiness": there(live),
                             "stop": {"phase": "after-drain"}}},
        "gateway": {"listen": f"127.0.0.1:{port}", "hold": "60s", "drain": {"lame_duck": "100ms", "spread": "100ms"},
                    "routes": [{"path": "/", "worker": "api", "to": f"127.0.0.1:{to}"},
                               {"path": "/live", "worker": "live", "to": f"127.0.0.1:{live}"}]}})
    for worker in "api", "live":
        pod.wait_log(worker=worker, msg="ready: pid")
    pod.wait_log(msg="the gateway listens")
    slow, quick = [Asking(port, "/slow") for _ in range(8)], [Asking(port, "/quick") for _ in range(8)]
    with peers.Load(port, sockets, "--every", 100) as load:
        assert load.wait_open() == sockets
        # Long enough at work not to be taken for a request that met a connection on its way to being closed.
        under_way = lambda: [time.monotonic() - client.asked[-1][1] for client in slow if client.asked]
        library.wait_until("all of the slow ones are at work", lambda: len(under_way()) == len(slow) and all(0.2 < age < 0.8 for age in under_way()))
        for name in "live", "api":
            killed = time.monotonic()
            os.kill(pod.worker(name)["pid"], signal.SIGKILL)
        told = load.report()
    library.wait_until("everybody is served again", lambda: all(client.since(killed).count(200) >= 2 for client in slow + quick))
    for client in slow + quick:
        client.enough.set()
    for client in slow + quick:
        client.join(PATIENCE_S)
        assert not client.is_alive()
    # Each WebSocket one proper Close.
    assert told["clean"] == sockets and told["codes"] == {"1012": sockets}, told["codes"]
    # Each request one answer; what the worker had at work is lost, and nothing else.
    for client in slow:
        at_work = [status for began, ended, status in client.asked if began < killed < ended]
        assert at_work == [502] or at_work == [200] and client.since(killed), "its answer was under way"
    assert sum(status == 502 for client in slow for _, _, status in client.asked) >= 4
    for client in slow + quick:
        assert {status for began, ended, status in client.asked if not began < killed < ended} == {200}
        assert {status for _, _, status in client.asked} <= {200, 502}
    assert pod.stop() == 0


def test_silent_clients_do_not_keep_the_pod(podvisor):
    pod, port = start(podvisor, drain={"close_timeout": "500ms", "linger": "300ms"})
    clients = websockets(port, 5)
    os.kill(pod.pid, signal.SIGTERM)
    assert pod.wait_end() == 0
    for client in clients:
        assert client.frame() == RESTART
    assert [entry["code"] for entry in pod.log(worker="api", msg="goodbye")] == [1001] * 5
    assert pod.log(msg="client time-out 5,")


def test_a_second_signal_skips_the_rest_of_the_drain(podvisor):
    pod, port = start(podvisor, drain={"lame_duck": "60s"})
    clients = websockets(port, 3)
    os.kill(pod.pid, signal.SIGTERM)
    pod.wait_log(msg="lame-duck")
    began = time.monotonic()
    os.kill(pod.pid, signal.SIGTERM)
    assert pod.wait_end() == 0
    assert time.monotonic() - began < 30 * library.SLOWER
    for frames in goodbyes(clients):
        assert frames in ([RESTART], [])


def test_the_log_tells_how_the_drain_went(podvisor):
    pod, port = start(podvisor)
    clients = websockets(port, 4)
    os.kill(pod.pid, signal.SIGTERM)
    goodbyes(clients)
    assert pod.wait_end() == 0
    assert pod.log(msg="every connection has ended: clean 4, peer first 0, client time-out 0, unclean 0, reset 0")
    phases = [position(pod, msg=f"{phase}: ") for phase in ("lame-duck", "draining", "stopping", "done")]
    assert phases == sorted(phases)


if __name__ == "__main__":
    sys.exit("run by pytest")
