"""The gateway's access log: what it says of requests and WebSockets, and what it keeps to itself."""
import os
import signal
import struct

from test_drain import Wires
from test_gateway import RESTART, Client, goodbyes


def lines(pod, **fields):
    return [entry for entry in pod.log(**fields) if "access" in entry]


def wait_line(pod, **fields):
    pod.wait(f"a line with {fields}", lambda: lines(pod, **fields))
    found = lines(pod, **fields)
    assert len(found) == 1, found
    return found[0]


def serve(wires, answer):
    """The backend's answer to the next request; returns its socket."""
    backend = wires.accept()
    backend.sendall(answer)
    return backend


QUICK = {"lame_duck": "0s", "linger": "200ms"}
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"  # so the next request comes by accept()


def test_a_request_is_told_without_its_query(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, access_log="all", drain=QUICK) as wires:
        client = Client(wires.port)
        client.send(b"POST /markets/eth?token=secret HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\nabc")
        serve(wires, OK)
        assert client.answer()[2] == "hello"
        line = wait_line(wires.pod, access="http")
        assert [line[key] for key in ("level", "client", "method", "path", "route", "status", "bytes_received", "reason")] == \
            ["info", "127.0.0.1", "POST", "/markets/eth", "/", 200, 3, None]
        assert line["bytes_sent"] == len(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        assert 0 < line["upstream_seconds"] <= line["seconds"]
        assert "secret" not in wires.pod.log_file.read_text()


def test_the_client_is_who_was_forwarded_by_those_who_are_trusted(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, access_log="all", drain=QUICK, trusted=["127.0.0.0/8", "10.0.0.0/8"]) as wires:
        for i, (value, wanted) in enumerate([
                ("203.0.113.9", "203.0.113.9"), ("1.2.3.4, 203.0.113.9, 10.1.1.1", "203.0.113.9"), ("10.0.0.7,10.0.0.8", "10.0.0.7"),
                ("nonsense, 10.0.0.8", "10.0.0.8"), ("2001:db8::1", "2001:db8::1"), ("203.0.113.9\r\nX-Forwarded-For: 10.0.0.1", "203.0.113.9"), ('"><script>', "127.0.0.1")]):
            client = Client(wires.port)
            client.send(f"GET /{i} HTTP/1.1\r\nHost: test\r\nX-Forwarded-For: {value}\r\n\r\n".encode())
            serve(wires, OK)
            client.answer()
            assert wait_line(wires.pod, path=f"/{i}")["client"] == wanted


def test_with_errors_only_what_failed_is_told_and_why(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, access_log="errors", drain=QUICK, timeouts={"response": "300ms"}) as wires:
        client = Client(wires.port)
        client.ask("/good")
        serve(wires, OK)
        client.answer()
        client.send(b"GET / HTTP/1.1\r\nHost : test\r\n\r\n")
        assert client.answer()[0] == 400
        refused = wait_line(wires.pod, status=400)
        assert refused["method"] is None and refused["path"] is None and refused["reason"], refused
        slow = Client(wires.port)
        slow.ask("/slow")
        wires.accept()
        assert slow.answer()[0] == 504
        assert wait_line(wires.pod, path="/slow")["reason"] == "The service did not answer in time."
        cut = Client(wires.port)
        cut.ask("/cut")
        serve(wires, b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello").close()
        assert cut.head()[0] == 200
        line = wait_line(wires.pod, path="/cut")
        assert (line["status"], line["level"]) == (200, "warn") and line["reason"]
        gone = Client(wires.port)
        gone.send(b"POST /gone HTTP/1.1\r\nHost: test\r\nContent-Length: 30\r\n\r\nabc")
        wires.accept()
        gone.close()
        assert wait_line(wires.pod, path="/gone")["reason"] == "The client closed the connection."
        failing = Client(wires.port)
        failing.ask("/failing")
        serve(wires, b"HTTP/1.1 500 Oops\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        failing.answer()
        assert wait_line(wires.pod, path="/failing")["status"] == 500
        assert not lines(wires.pod, path="/good")


def test_a_websocket_is_told_at_its_end(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, access_log="all", drain=QUICK) as wires:
        client, backend = wires.websocket()
        client.say(1, b"one")
        client.say(1, b"two")
        backend.sendall(b"\x81\x02hi")
        assert client.frame() == (1, b"hi")
        assert not lines(wires.pod)
        client.say(8, struct.pack(">H", 1000))
        got = b""
        while len(got) < 9 + 9 + 8:
            got += backend.recv(100)
        backend.sendall(b"\x88\x02\x03\xe8")
        backend.close()
        client.take(4)
        client.assert_ended()
        client.close()
        line = wait_line(wires.pod, access="websocket")
        assert [line[key] for key in ("messages_received", "messages_sent", "close_code", "closed_by", "drained", "status", "level")] == \
            [2, 1, 1000, "client", None, 101, "info"]
        assert (line["bytes_received"], line["bytes_sent"]) == (9 + 9 + 8, 4 + 4)
        lost, backend = wires.websocket()
        backend.sendall(b"\x81\x05he")  # and dies within it
        backend.close()
        lost.take(4)
        lost.close()
        assert wait_line(wires.pod, close_code=1006)["level"] == "warn"
        clients = wires.clients(3)
        os.kill(wires.pod.pid, signal.SIGTERM)
        assert goodbyes(clients) == [[RESTART]] * 3
        assert wires.pod.wait_end() == 0
        told = lines(wires.pod, close_code=1012)
        assert [(line["closed_by"], line["drained"]) for line in told] == [("podvisor", "clean")] * 3


def test_off_is_silent(podvisor, tmp_path):
    with Wires(podvisor, tmp_path, drain=QUICK) as wires:
        client = Client(wires.port)
        client.ask("/quiet")
        serve(wires, b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
        client.answer()
        assert wires.pod.stop() == 0
    assert not lines(wires.pod)
