"""WebSocket clients of the field through a rolling update: told on one pod, back on the next, and nothing lost between.

Two pods with the same backend (clients/backend) stand behind one address (tcp_switch.py). Client and server send each
other messages with numbers all the time, and tell each one as a JSON line.
"""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

import npm
import podvisor as library
from tcp_switch import Switch

HERE = pathlib.Path(__file__).with_name("clients")
CHROMIUM = "chromium-headless-shell"
LAME_DUCK_S = 4 * library.SLOWER
SOME = 20  # messages in each direction
FOR_A_WHILE = 40  # messages; at the pace of both sides a second or more

# The words of each client's program; PROFILE is filled in.
CLIENTS = {
    "chromium": ["chromium.js", CHROMIUM, "PROFILE"],
    "ws": ["ws.js"],
    "reconnecting-websocket": ["reconnecting-websocket.js"],
    "socket.io-client": ["socket.io-client.js", "websocket"],
    "socket.io-client-from-polling": ["socket.io-client.js"],
    "graphql-ws": ["graphql-ws.js"],
    "phoenix": ["phoenix.js"],
    "centrifuge": ["centrifuge.js"],
}
# These fetch things by HTTP as well, over connections of their own.
WITH_HTTP = {"chromium", "socket.io-client-from-polling"}
# These cannot know for a moment that their socket is closing: what is said then goes nowhere.
ANSWER_LATER = {"graphql-ws"}  # its backend answers from a promise: what crosses the Close may be heard and never answered
SAY_BLINDLY = {"chromium", "socket.io-client", "socket.io-client-from-polling", "centrifuge"}

pytestmark = [pytest.mark.skipif(not shutil.which(tool), reason=f"{tool} is not installed")
              for tool in ("node", "npm", CHROMIUM)]


@pytest.fixture(scope="session")
def modules():
    return npm.installed(HERE)


class Client:
    """One of the programs, and what it has told so far."""

    def __init__(self, name, url, modules, directory):
        self.name = name
        script, *words = CLIENTS[name]
        place = pathlib.Path(directory) / name
        place.mkdir()
        self.out, self.err = place / "out", place / "err"
        words = [str(place / "profile") if word == "PROFILE" else word for word in words]
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(["node", str(HERE / script), url, *words], stdin=subprocess.PIPE, stdout=out,
                                            stderr=err, start_new_session=True,
                                            env={**os.environ, "NODE_PATH": str(modules)})

    def facts(self, event, **fields):
        lines = self.out.read_text().splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        return [fact for fact in told if fact["event"] == event and fields.items() <= fact.items()]

    def numbers(self, event, connection):
        return [fact["n"] for fact in self.facts(event, connection=connection)]

    def tail(self):
        return f"--- {self.name}\n" + "\n".join(self.out.read_text().splitlines()[-20:]) + self.err.read_text()

    def wait(self, what, condition):
        return library.wait_until(f"{self.name}: {what}", condition, 60, self.tail)

    def wait_talk(self, connection, count=SOME):
        """Until so many more messages have come, of the server's own and as answers."""
        def done():
            return all(len(self.numbers(event, connection)) >= before + count for event, before in had.items())
        had = {event: len(self.numbers(event, connection)) for event in ("tick", "answer")}
        self.wait(f"{count} messages each way on connection {connection}", done)

    def finish(self):
        """It says goodbye by itself, and ends."""
        self.process.stdin.close()
        assert self.process.wait(60 * library.SLOWER) == 0, self.tail()
        assert self.facts("end"), self.tail()
        assert self.err.read_text() == ""
        self.wait("its browser's end", lambda: not self.processes())

    def processes(self):
        """What still runs of its group, that is, of the program or its browser."""
        done = subprocess.run(["pgrep", "-r", "R,S,D", "-g", str(self.process.pid)], capture_output=True, text=True, check=False)
        return done.stdout.split()

    def print_how_fast(self, code):
        """For the table of the book; pytest -s shows it."""
        print(json.dumps({"client": self.name, "code": code, "back_ms": self.facts("open", connection=2)[0]["back_ms"]}))

    def kill(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.process.stdin.close()


class Stage:
    """Two pods, an address that goes to the first, and clients."""

    def __init__(self, podvisor, modules, directory):
        self.podvisor, self.modules, self.directory = podvisor, modules, directory
        self.clients = []

    def open(self, **drain):
        self.pods = [self._pod(drain) for _ in range(2)]
        for pod in self.pods:
            pod.wait_log(worker="api", msg="ready: pid")
            pod.wait_log(msg="the gateway listens")
        self.switch = Switch(self.pods[0].gateway)
        return self.pods

    def _pod(self, drain):
        port, to = library.free_port(), library.free_port()
        pod = self.podvisor({
            "workers": {"api": {"command": ["node", str(HERE / "backend"), str(to)],
                                "env": {"NODE_PATH": str(self.modules)},
                                "readiness": {"tcp": f"127.0.0.1:{to}", "interval": "200ms"},
                                "stop": {"phase": "after-drain"}}},
            "gateway": {"listen": f"127.0.0.1:{port}", "routes": [{"path": "/", "worker": "api", "to": f"127.0.0.1:{to}"}],
                        "drain": {"lame_duck": f"{LAME_DUCK_S:g}s", "spread": "1s", **drain}}})
        pod.gateway = port
        return pod

    def client(self, name):
        self.clients.append(Client(name, f"http://127.0.0.1:{self.switch.port}", self.modules, self.directory))
        return self.clients[-1]

    def close(self):
        for client in self.clients:
            client.kill()
        if hasattr(self, "switch"):
            self.switch.close()


@pytest.fixture
def stage(podvisor, modules, directory):
    one = Stage(podvisor, modules, directory)
    yield one
    one.close()


def assert_deflated(told, account):
    """Both ends say so, and the bytes on the wire do."""
    assert told["extensions"].startswith("permessage-deflate")
    assert account["wire_in"] < account["text_in"] / 5
    assert account["wire_out"] < account["text_out"] / 5


def assert_whole(client, connection, pod):
    """Everything in order and nothing missing, of what the two sides had said before the goodbye. What the backend said
    behind the Close may be missing, and only if podvisor says that it was discarded. Returns the backend's account."""
    opened, = pod.log(worker="api", msg="open")
    account, = pod.log(worker="api", msg="closed")
    ticks, answers = client.numbers("tick", connection), client.numbers("answer", connection)
    assert ticks == list(range(1, len(ticks) + 1))
    assert answers == list(range(1, len(answers) + 1))
    assert min(len(ticks), len(answers)) >= SOME
    assert account["in_order"]
    assert opened["extensions"].startswith("permessage-deflate")
    told, = client.facts("open", connection=connection)
    assert told["protocol"] == opened["subprotocol"]
    assert_deflated(told, account)
    return account, len(ticks), len(answers)


def assert_told_and_whole(client, pod, code):
    close, = client.facts("close", connection=1)
    assert (close["code"], close["reason"]) == (code, "service restart")
    account, ticks, answers = assert_whole(client, 1, pod)
    assert account["code"] == code, "the backend's end"
    assert 0 <= close["said"] - account["heard"] <= (library.SLOWER if client.name in SAY_BLINDLY else 0)
    ended, = pod.log(msg="bytes discarded")
    discarded = int(re.search(r"(\d+) bytes discarded", ended["msg"])[1])
    unanswered = account["heard"] - answers
    assert discarded or (account["ticks"] == ticks and unanswered in ((0, 1) if client.name in ANSWER_LATER else (0,)))
    assert pod.log(msg="every connection has ended: clean 1, peer first 0, client time-out 0, unclean 0, reset 0")


@pytest.mark.parametrize("name", CLIENTS)
def test_it_is_told_1012_comes_back_once_to_the_next_pod_and_loses_nothing(stage, name):
    old, new = stage.open()
    client = stage.client(name)
    client.wait_talk(1)
    os.kill(old.pid, signal.SIGTERM)
    client.wait_talk(1, FOR_A_WHILE)  # the lame duck's; the endpoints follow later, as in a cluster
    stage.switch.to(new.gateway)
    client.wait("the goodbye", lambda: client.facts("close", connection=1))
    client.wait_talk(2)
    assert old.wait_end() == 0, old.tail()
    client.finish()
    new.wait_log(worker="api", msg="closed")

    assert_told_and_whole(client, old, 1012)
    account, _, _ = assert_whole(client, 2, new)
    assert account["code"] in (1000, 1005)
    assert len(client.facts("dial")) == len(client.facts("open")) == 2
    assert client.facts("error") == []
    if name not in WITH_HTTP:
        assert stage.switch.taken == {old.gateway: 1, new.gateway: 1}
    client.print_how_fast(1012)
    assert new.stop() == 0


@pytest.mark.parametrize("code", [1001, 1006])
def test_they_come_back_from_another_end_as_well(stage, code):
    """1001: a pod that is configured to say so. 1006: one that is killed, and says nothing."""
    old, new = stage.open(**({"code": 1001} if code == 1001 else {}))
    clients = [stage.client(name) for name in CLIENTS]
    for client in clients:
        client.wait_talk(1)
    stage.switch.to(new.gateway)
    if code == 1001:
        os.kill(old.pid, signal.SIGTERM)
    else:
        old.process.kill()
    for client in clients:
        client.wait_talk(2)
    seen = collections.Counter(fact["code"] for client in clients for fact in client.facts("close", connection=1))
    assert seen == {code: len(clients)}
    for client in clients:
        client.print_how_fast(code)
        client.finish()
        assert len(client.facts("open")) == 2
    old.wait_end()
    assert new.stop() == 0
