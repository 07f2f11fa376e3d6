"""The pod's end as the clients of many WebSockets see it, and their backend; both keep account of every message."""
import asyncio
import calendar
import json
import math
import os
import pathlib
import re
import signal
import socket
import threading
import time

import peers
import podvisor as library
from peers import Load, Pairs
from test_gateway import RESTART, Client, goodbyes

SLOW = library.SLOWER > 1
COUNT = int(os.environ.get("DRAIN_WEBSOCKETS", "500" if SLOW else "2000"))
# Between podvisor's last look at a backend's bytes and its Close it may lose its core, and the backend may speak meanwhile.
PREEMPTED_MS = 100 * library.SLOWER
# Ends a second after it is asked to, so that the drain's last figures can be scraped.
LINGERS = ["/bin/sh", "-c", "trap 'sleep 1; exit' TERM; while :; do sleep 0.1; done"]


def start(podvisor, place, *words, drain=None, shutdown=None, **gateway):
    """A pod whose backend is ws_peer, with these words."""
    port, to = library.free_port(), library.free_port()
    report, termination_log = place / f"backend-{to}.json", place / f"termination-log-{to}"
    termination_log.touch()  # as Kubernetes does
    stops = {"phase": "after-drain"}
    pod = podvisor({
        "workers": {"api": {"command": peers.server(to, report, *words), "stop": stops,
                            "readiness": {"tcp": f"127.0.0.1:{to}", "interval": "200ms"}},
                    "lingers": {"command": LINGERS, "stop": stops}},
        "shutdown": {"termination_log": str(termination_log), **(shutdown or {})},
        "gateway": {"listen": f"127.0.0.1:{port}", "routes": [{"path": "/", "worker": "api", "to": f"127.0.0.1:{to}"}],
                    "drain": drain or {}, **gateway}})
    pod.wait_log(worker="api", msg="ready: pid")
    pod.wait_log(msg="the gateway listens")
    pod.gateway_port, pod.report, pod.termination_log = port, report, termination_log
    return pod


class Wires:
    """A pod without workers: the test is the clients and the backend itself."""

    def __init__(self, podvisor, place, drain=None, deadline="60s", **gateway):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.listener.settimeout(30 * library.SLOWER)
        self.port, self.backends = library.free_port(), []
        termination_log = place / "termination-log"
        termination_log.touch()
        to = self.listener.getsockname()[1]
        self.pod = podvisor({"shutdown": {"deadline": deadline, "termination_log": str(termination_log)},
                             "gateway": {"listen": f"127.0.0.1:{self.port}", "drain": drain or {},
                                         "routes": [{"path": "/", "to": f"127.0.0.1:{to}"}], **gateway}})
        self.pod.termination_log = termination_log
        self.pod.wait_log(msg="the gateway listens")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in self.listener, *self.backends:
            end.close()

    def accept(self):
        """The backend's end of a request, whose head is read."""
        backend, _ = self.listener.accept()
        backend.settimeout(30 * library.SLOWER)
        self.backends.append(backend)
        got = b""
        while b"\r\n\r\n" not in got:
            data = backend.recv(4096)
            assert data
            got += data
        return backend

    def websocket(self):
        client = Client(self.port)
        client.send(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
        backend = self.accept()
        backend.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert client.head()[0] == 101
        return client, backend

    def clients(self, count):
        return [self.websocket()[0] for _ in range(count)]


def backend_of(pod):
    return json.loads(pod.report.read_text())


def last_figures(pod, progress=None):
    """The metrics when the gateway is empty, and what /api/v1/drain says then; progress: it gets what that said until then."""
    def stopping():
        drain = pod.get("/api/v1/drain").json()
        if progress is not None:
            progress.append(drain)
        return drain["state"] == "stopping"
    pod.wait("stopping", stopping, 90)
    return metrics(pod), pod.get("/api/v1/drain").json()


def summary_of(pod):
    """How the drain went, as the log tells it; the termination log has to tell the same."""
    told = pod.log(msg=re.compile("^(every connection has ended|what was left of the connections is cut off): "))
    assert len(told) == 1, told
    text = told[0]["msg"].partition(": ")[2]
    assert f"drain: {text}\n" in pod.termination_log.read_text()
    return text


def metrics(pod):
    found = {}
    for line in pod.get("/metrics").text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def closed(figures):
    return {result: figures[f'podvisor_drain_websockets_closed_total{{result="{result}"}}']
            for result in ("clean", "peer_first", "client_timeout", "unclean_mid_frame", "reset")}


def latest_delay_ms(figures):
    """No Close came later after its slot than this."""
    total = figures["podvisor_drain_close_delay_seconds_count"]
    for name, value in figures.items():
        bound = re.fullmatch(r'podvisor_drain_close_delay_seconds_bucket\{le="(.*)"\}', name)
        if bound and value == total:
            return float(bound[1]) * 1000
    return math.inf


def assert_all_told(clients, backend, count, code="1012"):
    for side in clients, backend:
        assert side["codes"] == {code: count}, side["codes"]
        assert (side["clean"], side["cut"], side["broken"], side["torn"], side["gaps"], side["reset"]) == (count, 0, 0, 0, 0, 0)


def assert_progress(told, spread_s):
    """Live, the API tells of all of them at any time, and of an end that comes nearer."""
    begun = [drain for drain in told if drain["state"] in ("lame-duck", "draining")]
    assert {drain["state"] for drain in begun} == {"lame-duck", "draining"}
    for drain in begun:
        assert sum(drain["websockets_closed"].values()) + drain["connections"]["websocket"] == COUNT
        assert 0 <= drain["estimate_seconds"] <= 1 + spread_s + 12  # at the very end it tells the latest of the goodbyes
    closed = [drain["websockets_closed"]["clean"] for drain in begun]
    assert closed == sorted(closed) and len(set(closed)) > 10
    assert begun[0]["estimate_seconds"] > spread_s > begun[len(begun) // 2]["estimate_seconds"]


def test_every_client_and_the_backend_are_told_once_nothing_finished_is_lost_and_there_is_no_herd(podvisor, tmp_path):
    spread_ms, size = 8000, 64
    pod = start(podvisor, tmp_path, "--every", 500, "--size", size, drain={"lame_duck": "1s", "spread": f"{spread_ms}ms"})
    with Load(pod.gateway_port, COUNT, "--every", 500, "--size", size, "--heard") as load:
        assert load.wait_open() == COUNT
        pod.send(signal.SIGTERM)
        progress = []
        figures, drain = last_figures(pod, progress)
        clients = load.report()
    assert pod.wait_end() == 0, pod.tail()
    backend = backend_of(pod)
    assert_all_told(clients, backend, COUNT)
    both = Pairs(clients, backend)
    assert both.lost_up() == 0
    assert max(both.finished_before_end(), default=0) < PREEMPTED_MS
    # The metrics, the summary and the clients' own account are the same.
    wanted = {"clean": COUNT, "peer_first": 0, "client_timeout": 0, "unclean_mid_frame": 0, "reset": 0}
    assert closed(figures) == drain["websockets_closed"] == wanted
    discarded = both.lost_down() * (2 + size)
    assert figures["podvisor_drain_discarded_bytes_total"] == drain["discarded_bytes"] == discarded
    assert figures['podvisor_gateway_websocket_messages_total{direction="received"}'] == clients["sent"]
    assert figures['podvisor_gateway_websocket_messages_total{direction="sent"}'] == clients["received"]
    assert figures["podvisor_drain_handshake_seconds_count"] == figures["podvisor_drain_close_delay_seconds_count"] == COUNT
    summary = summary_of(pod)
    assert summary.startswith(f"clean {COUNT}, peer first 0, client time-out 0, unclean 0, reset 0; longest handshake "), summary
    assert summary.endswith(f"; {discarded} bytes discarded, 0 requests cut"), summary
    assert_progress(progress, spread_ms / 1000)
    # Any 100 ms of Closes belong to slots of so many ms more as podvisor came late, which is the machine's business.
    share = COUNT * 100 / spread_ms
    print(f"of {COUNT}: {both.lost_down()} messages came after the slot, at most {clients['peak_closes_100ms']} Closes in 100 ms "
          f"(uniform: {share:g}), delay below {latest_delay_ms(figures):g} ms")
    late = share * (100 + latest_delay_ms(figures)) / 100 + 2
    assert clients["peak_closes_100ms"] <= max(2 * share + 2, late), clients["peak_closes_100ms"]


def test_a_frame_that_trickles_through_the_signal_and_its_slot_ends_before_the_close(podvisor, tmp_path):
    pod = start(podvisor, tmp_path, "--every", 2600, "--parts", 26, "--size", 2600, drain={"lame_duck": "100ms", "spread": "1s"})
    with Load(pod.gateway_port, 50, "--heard") as load:
        load.wait_open()
        pod.send(signal.SIGTERM)
        figures, _ = last_figures(pod)
        clients = load.report()
    assert pod.wait_end() == 0, pod.tail()
    assert_all_told(clients, backend_of(pod), 50)
    # It was not by luck: their slots came within frames, and the Closes waited for the ends.
    assert figures["podvisor_drain_close_delay_seconds_sum"] > 50 * 0.3
    assert summary_of(pod).startswith("clean 50,")


class Switch:
    """A TCP port in front of pods, as a Service or an ingress is: where new connections go can be changed."""

    def __init__(self, target):
        self.target = target
        self.refused = 0
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=512))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.server.close()
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
            self.loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        self.loop.close()

    async def serve(self, reader, writer):
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            self.refused += 1
            writer.transport.abort()
            return
        await asyncio.gather(self.pump(reader, to_writer), self.pump(to_reader, writer))
        for end in writer, to_writer:
            end.close()

    @staticmethod
    async def pump(reader, writer):
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            writer.transport.abort()


class Visitors:
    """A new connection with one request every 20 ms. answers: (when it began, status or the error's name)."""

    def __init__(self, port):
        self.port = port
        self.answers = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.come)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    def come(self):
        while not self.over.wait(0.02):
            self.answers.append((time.time(), self.visit()))

    def visit(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30 * library.SLOWER) as s:
                s.sendall(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                got = b""
                while data := s.recv(4096):
                    got += data
                return int(got.split()[1]) if got.endswith(b"ok\n") else f"cut: {got!r}"
        except OSError as e:
            return type(e).__name__


def seconds_of(entry):
    """The time of a log line, as time.time() counts."""
    whole, millis = entry["ts"].rstrip("Z").split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + int(millis) / 1000


def test_with_a_late_endpoint_switch_nobody_is_refused_and_who_comes_again_is_closed_once(podvisor, tmp_path):
    count = 40
    drain = {"lame_duck": "4s", "spread": "3s"}
    old, new = start(podvisor, tmp_path, "--every", 200, drain=drain), start(podvisor, tmp_path, "--every", 200, drain=drain)
    with Switch(old.gateway_port) as switch, Visitors(switch.port) as through, Visitors(old.gateway_port) as direct, \
            Load(switch.port, count, "--every", 200, "--heard", "--reconnect") as load:
        load.wait_open()
        library.wait_until("visitors", lambda: len(through.answers) > 20 and len(direct.answers) > 20)
        old.send(signal.SIGTERM)
        time.sleep(3)  # how late the switch is
        switch.target = new.gateway_port
        assert old.wait_end() == 0, old.tail()
        load.stop()
        clients = load.report()
    assert {status for _, status in through.answers} == {200}
    assert switch.refused == 0
    closing = seconds_of(old.log(msg="draining: ")[0])
    before = [status for began, status in direct.answers if began < closing - 0.1]
    after = [status for began, status in direct.answers if began > closing + 0.5 * library.SLOWER]
    assert set(before) == {200} and len(before) > 50
    assert set(after) == {"ConnectionRefusedError"}
    assert {status for _, status in direct.answers} == {200, "ConnectionRefusedError"}
    assert (clients["refused"], clients["failed"], clients["gaps"], clients["cut"]) == (0, 0, 0, 0)
    lives = {}
    for row in peers.rows(clients):
        lives.setdefault(row["client"], []).append((row["code"], row["clean"], row["own"]))
    assert len(lives) == count
    assert all(life == [(1012, 1, 0), (1000, 1, 1)] for life in lives.values()), lives
    assert summary_of(old).startswith(f"clean {count},")


def test_a_second_signal_brings_the_slots_that_are_left(podvisor, tmp_path):
    with Wires(podvisor, tmp_path) as wires:
        clients = wires.clients(150)  # a window of 15 s
        wires.pod.send(signal.SIGTERM)
        wires.pod.wait_log(msg="lame-duck: ")
        wires.pod.send(signal.SIGTERM)
        assert goodbyes(clients) == [[RESTART]] * 150
        assert wires.pod.wait_end() == 0
    assert summary_of(wires.pod).startswith("clean 150,")


def test_a_second_signal_while_it_drains_does_so_too(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, drain={"lame_duck": "0s"}) as wires:
        clients = wires.clients(150)
        wires.pod.send(signal.SIGTERM)
        wires.pod.wait_log(msg="draining: ")
        wires.pod.send(signal.SIGTERM)
        assert goodbyes(clients) == [[RESTART]] * 150
        assert wires.pod.wait_end() == 0
    assert summary_of(wires.pod).startswith("clean 150,")
    assert wires.pod.log(msg="stopping, although connections are still open") or wires.pod.log(msg="stopping: ")


def test_a_third_signal_ends_it_whatever_is_open(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, drain={"lame_duck": "50s", "message_wait": "50s"}) as wires:
        client, backend = wires.websocket()
        backend.sendall(b"\x81\x05he")
        assert client.take(4) == b"\x81\x05he"
        # Signals of one kind that come together are one: each is seen before the next.
        wires.pod.send(signal.SIGTERM)
        wires.pod.wait_log(msg="lame-duck: ")
        wires.pod.send(signal.SIGTERM)
        wires.pod.wait_log(msg="a second signal")
        wires.pod.send(signal.SIGTERM)
        assert wires.pod.wait_end(20) == 0
        client.assert_ended()
    assert summary_of(wires.pod).startswith("clean 0, peer first 0, client time-out 0, unclean 1, reset 0;")


def test_a_sigterm_in_the_lame_duck_of_a_drain_by_hand_goes_on_from_there(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, drain={"lame_duck": "50s"}, deadline="9s") as wires:
        clients = wires.clients(5)
        assert wires.pod.cli("drain").code == 0
        wires.pod.wait_log(msg="lame-duck: ")
        assert wires.pod.get("/readyz").status == 503
        wires.pod.send(signal.SIGTERM)
        assert goodbyes(clients) == [[RESTART]] * 5
        assert wires.pod.wait_end() == 0
    assert len(wires.pod.log(msg="lame-duck: ")) == 1
    assert summary_of(wires.pod).startswith("clean 5,")


def test_a_budget_that_is_too_short_for_the_slots_still_tells_everyone(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, deadline="4s") as wires:
        clients = wires.clients(60)
        wires.pod.send(signal.SIGTERM)
        assert goodbyes(clients) == [[RESTART]] * 60
        assert wires.pod.wait_end() == 0
    assert wires.pod.log(msg="they are shortened")
    assert summary_of(wires.pod).startswith("clean 60,")


def test_what_is_left_when_the_budget_is_over_is_told(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, drain={"lame_duck": "100ms", "message_wait": "50s"}, deadline="4s") as wires:
        clients = wires.clients(3)
        stuck, backend = wires.websocket()
        backend.sendall(b"\x81\x05he")
        asking = Client(wires.port)
        asking.ask("/never")
        wires.accept()
        wires.pod.send(signal.SIGTERM)
        assert goodbyes(clients) == [[RESTART]] * 3
        assert wires.pod.wait_end() == 0
        assert stuck.take(4) == b"\x81\x05he"
        stuck.assert_ended()
    summary = summary_of(wires.pod)
    assert summary.startswith("clean 3, peer first 0, client time-out 0, unclean 1, reset 0;"), summary
    assert summary.endswith("0 bytes discarded, 1 request cut"), summary


def test_a_request_that_outlasts_its_grace_is_cut_and_counted(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, drain={"lame_duck": "100ms", "http_grace": "200ms"}) as wires:
        asking = Client(wires.port)
        asking.ask("/never")
        wires.accept()
        wires.pod.send(signal.SIGTERM)
        assert asking.answer()[0] == 502
        asking.assert_ended()
        assert wires.pod.wait_end() == 0
    assert summary_of(wires.pod).endswith("0 bytes discarded, 1 request cut")


def test_with_nothing_open_there_is_nothing_to_wait_for(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, drain={"lame_duck": "100ms"}) as wires:
        wires.pod.send(signal.SIGTERM)
        assert wires.pod.wait_end() == 0
    assert summary_of(wires.pod).startswith("clean 0,")


def test_what_an_undrain_finds_open_stays_open(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, drain={"lame_duck": "0s"}) as wires:
        pairs = [wires.websocket() for _ in range(200)]
        assert wires.pod.cli("drain").code == 0
        wires.pod.wait_log(msg="draining: ")
        assert wires.pod.cli("undrain").code == 0
        wires.pod.wait_log(msg="serving: ")
        for client, backend in pairs:
            backend.sendall(b"\x81\x02hi")
        frames = [client.frame() for client, _ in pairs]
        assert frames.count((1, b"hi")) > 100 and set(frames) <= {(1, b"hi"), RESTART}
        assert wires.pod.get("/readyz").status == 200
        again, _ = wires.websocket()
        again.close()
        for client, _ in pairs:
            client.close()
