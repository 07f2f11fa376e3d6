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


def backend_of(pod):
    return json.loads(pod.report.read_text())


def last_figures(pod):
    """The metrics when the gateway is empty, and what /api/v1/drain says then."""
    pod.wait("stopping", lambda: pod.get("/api/v1/drain").json()["state"] == "stopping", 90)
    return metrics(pod), pod.get("/api/v1/drain").json()


def summary_of(pod):
    """How the drain went, as the log tells it; the termination log has to tell the same."""
    told = pod.log(msg="every connection has ended: ")
    assert len(told) == 1, told
    text = told[0]["msg"].removeprefix("every connection has ended: ")
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


def test_every_client_and_the_backend_are_told_once_nothing_finished_is_lost_and_there_is_no_herd(podvisor, tmp_path):
    spread_ms, size = 8000, 64
    pod = start(podvisor, tmp_path, "--every", 500, "--size", size, drain={"lame_duck": "1s", "spread": f"{spread_ms}ms"})
    with Load(pod.gateway_port, COUNT, "--every", 500, "--size", size, "--heard") as load:
        assert load.wait_open() == COUNT
        pod.send(signal.SIGTERM)
        figures, drain = last_figures(pod)
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
    assert summary.endswith(f"; {discarded} bytes discarded"), summary
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
