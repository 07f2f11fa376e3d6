"""The corpus of smuggling.toml, a backend that records every byte it gets, and a client that tells what it was answered.

What reached the backend is read by a reader of its own, which is as narrow as it can be: whatever two servers could
read differently is Ambiguous, even where a proxy may lawfully pass it on.
"""
import pathlib
import re
import socket
import threading
import time
import tomllib

from acceptor import Acceptor

CORPUS = pathlib.Path(__file__).with_name("smuggling.toml")
QUIET_S = 0.3  # a backend that cannot tell where a request ends answers after so much silence

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
START = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e]+) HTTP/1\.([01])\r\n")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*\r\n")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
# What proxies add by themselves.
MADE = re.compile(r"host|content-length|transfer-encoding|forwarded|x-forwarded-.*|via|x-varnish|x-real-ip|x-host|accept-encoding")


class Case:
    def __init__(self, number, group, parts, name, sent, statuses, *reaches):
        self.number, self.group, self.name = number, group, name
        self.tag = f"k{number:03}"
        self.statuses = [int(status) for status in statuses.split()]
        self.sent = expand(sent, parts).replace("CASE", self.tag).encode("latin-1")
        self.begun = "begun" in reaches
        self.reaches = [expand(text, parts).replace("CASE", self.tag) for text in reaches if text != "begun"]

    def __repr__(self):
        return f"{self.group}: {self.name}"


def expand(text, parts):
    text = re.sub(r"\{([A-Z]+)\}", lambda part: parts[part[1]], text)
    return re.sub(r"\{([^{}]+?)\*(\d+)\}", lambda times: times[1] * int(times[2]), text)


def corpus():
    data = tomllib.loads(CORPUS.read_text())
    rows = [(group, row) for group, rows in data["rows"].items() for row in rows]
    return [Case(number, group, data["parts"], *row) for number, (group, row) in enumerate(rows)]


# ---- what the backend got ----

class Ambiguous(Exception):
    pass


class Incomplete(Exception):
    pass


class Request:
    """method, target, host, framing ("", "length", "chunked"), body, fields (all the others, in order), length (in bytes)."""

    def __str__(self):
        text = f"{self.method} {self.target} {self.host}"
        if self.framing:
            text += f" {self.framing}:{self.body}"
        connection = ("connection", "close"), ("connection", "keep-alive"), ("connection", "Keep-Alive")
        kept = sorted(f"{name}={value}" for name, value in self.fields if not MADE.fullmatch(name) and (name, value) not in connection)
        return " ".join([text, *kept])


def shown(data):
    return data.decode("latin-1").rstrip("\r")


def read_request(data):
    """The request at the front; Incomplete, or Ambiguous with the reason."""
    end = data.find(b"\n\r\n")
    start = START.match(data)
    if not start:
        if b"\n" in data:
            raise Ambiguous(f"the request line {shown(data[:data.index(10)])}")
        raise Incomplete
    if end < 0:
        raise Incomplete
    request, fields = Request(), {}
    request.method, request.target, request.fields = start[1].decode(), start[2].decode(), []
    at = start.end()
    while data[at:at + 2] != b"\r\n":
        field = FIELD.match(data, at)
        if not field:
            raise Ambiguous(f"the line {shown(data[at:data.index(10, at)])}")
        name, value = field[1].decode().lower(), field[2].decode("latin-1")
        request.fields.append((name, value))
        fields.setdefault(name, []).append(value)
        at = field.end()
    request.host = one_of(fields, "host", needed=start[3] == b"1")
    read_body(request, data, at + 2, one_of(fields, "content-length"), one_of(fields, "transfer-encoding"))
    return request


def one_of(fields, name, needed=False):
    values = fields.get(name, [])
    if len(values) > 1 or (needed and not values):
        raise Ambiguous(f"{len(values) or 'no'} {name}")
    return values[0] if values else None if name != "host" else ""


def read_body(request, data, at, length, encoding):
    if length is not None and encoding is not None:
        raise Ambiguous("both a length and an encoding")
    if length is not None and not re.fullmatch("[0-9]{1,18}", length):
        raise Ambiguous(f"the length {length}")
    if encoding is not None and encoding != "chunked":
        raise Ambiguous(f"the encoding {encoding}")
    request.framing = "length" if length is not None else "chunked" if encoding else ""
    if encoding:
        body, at = read_chunks(data, at)
    else:
        body, at = data[at:at + int(length or 0)], at + int(length or 0)
        if at > len(data):
            raise Incomplete
    request.body, request.length = body.decode("latin-1"), at


def read_chunks(data, at):
    body = b""
    while True:
        head = CHUNK.match(data, at)
        if not head:
            if re.fullmatch(rb"[0-9A-Fa-f]{0,16}\r?", data[at:]):
                raise Incomplete
            raise Ambiguous(f"the chunk {shown(data[at:at + 40])}")
        size, at = int(head[1], 16), head.end()
        rest = data[at:at + size + 2]
        if not rest[size:] == b"\r\n"[:max(0, len(rest) - size)]:
            raise Ambiguous(f"in place of a chunk's end {shown(rest[size:] + data[at + size + 2:])}")
        if len(rest) < size + 2:
            raise Incomplete
        body, at = body + rest[:size], at + size + 2
        if size == 0:
            return body, at


class Record:
    """Of one connection: the requests so far, what came behind the last of them, and whether that is ambiguous."""

    def __init__(self):
        self.requests, self.rest, self.ambiguous, self.ended = [], b"", None, False
        self.told_to_continue = False

    def take(self):
        """One more request, from the front of the rest."""
        try:
            request = read_request(self.rest)
        except Incomplete:
            return None
        except Ambiguous as e:
            self.ambiguous = str(e)
            return None
        self.rest, self.told_to_continue = self.rest[request.length:], False
        return request

    def wants_to_continue(self):
        """A head has come that wants to be told 100; true once."""
        head, end, _ = self.rest.lower().partition(b"\r\n\r\n")
        wants = end and re.search(rb"\nexpect: *100-continue", head) and not self.told_to_continue
        self.told_to_continue = self.told_to_continue or bool(wants)
        return wants


class Backend:
    """Answers every request with 200. requests: all of them, in the order in which they were complete."""

    def __init__(self):
        self.changed = threading.Condition()
        self.records, self.requests = [], []
        self.acceptor = Acceptor(self._serve, backlog=512)
        self.port = self.acceptor.port

    def _serve(self, connection):
        record = Record()
        self.records.append(record)
        with connection:
            try:
                while self._serve_some(connection, record):
                    pass
            except OSError:
                pass
        record.ended = True

    def _serve_some(self, connection, record):
        connection.settimeout(QUIET_S if record.ambiguous else None)
        try:
            got = connection.recv(65536)
        except TimeoutError:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        record.rest += got
        while not record.ambiguous and (request := record.take()):
            with self.changed:
                record.requests.append(request)
                self.requests.append(request)
                self.changed.notify_all()
            body = b"" if request.method == "HEAD" else b"ok"
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
        if record.wants_to_continue():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return bool(got)

    def close(self):
        """Waits for the ends of the connections, which are the proxy's to bring about."""
        self.acceptor.close()
        self.acceptor.join(60)


# ---- what the client was answered ----

class Answers:
    """statuses of the final responses; open: the connection can be used on."""

    def __init__(self):
        self.statuses, self.rest, self.ended, self.keeps = [], b"", False, True

    @property
    def open(self):
        return not self.ended and self.keeps and not self.rest

    def take(self, to_head):
        """Takes a whole response off the front of what came; to_head: it has no body."""
        head, end, rest = self.rest.partition(b"\r\n\r\n")
        start = re.match(rb"HTTP/1\.[01] (\d\d\d)", head)
        if not end or not start:
            return False
        status, fields = int(start[1]), head.lower()
        length = re.search(rb"\ncontent-length: *(\d+)", fields)
        body = 0
        if b"\ntransfer-encoding: chunked" in fields:
            last = re.search(rb"(^|\r\n)0\r\n\r\n", rest)
            if not last:
                return False
            body = last.end()
        elif length and not to_head and status >= 200:
            body = int(length[1])
        elif not length and not to_head and status >= 200 and status not in (204, 304):
            self.keeps = False
        if len(rest) < body:
            return False
        self.rest = rest[body:]
        if status >= 200:
            self.statuses.append(status)
            self.keeps = self.keeps and b"\nconnection: close" not in fields and start[0] != b"HTTP/1.0"
        return True


class Client:
    """to_head: the first request is a HEAD."""

    def __init__(self, port, to_head=False):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.answers = Answers()
        self.to_head = to_head

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # refused before everything was sent: the answer says so

    def read(self, until, quiet_s):
        """Until the answers fulfil it, the end, or so much silence; false: silence."""
        answers, end = self.answers, time.monotonic() + quiet_s
        while not answers.ended and not until(answers):
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                got = self.socket.recv(65536)
            except TimeoutError:
                return False
            except OSError:
                got = b""
            end = time.monotonic() + quiet_s
            answers.rest += got
            answers.ended = not got
            while answers.take(self.to_head and not answers.statuses):
                pass
        return True

    def close(self):
        self.socket.close()


def last_request(case):
    """What is asked on a connection that is still open, to see whether both ends agree about where they are."""
    return f"GET /{case.tag}/last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
