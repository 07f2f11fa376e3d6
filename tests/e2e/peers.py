"""The program ws_peer (tests/bench/ws_peer.c) as backend and as clients of many WebSockets, and its accounts."""
import json
import os
import pathlib
import select
import subprocess
import sys

import podvisor as library

sys.path.append(str(library.ROOT / "tests" / "bench"))
from accounts import Pairs, rows  # noqa: E402, F401

PROGRAM = str(pathlib.Path(os.environ.get("PODVISOR_BENCH", pathlib.Path(library.PROGRAM).parent / "bench")) / "ws_peer")


def server(port, report, *words):
    """The command of a backend."""
    return [PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", "--report", str(report), *map(str, words)]


class Load:
    """Clients at work. Use it as a context: nothing of it stays."""

    def __init__(self, port, count, *words):
        self.process = subprocess.Popen([PROGRAM, "load", "--connect", f"127.0.0.1:{port}", "--count", str(count), *map(str, words)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def wait_open(self, seconds=60):
        """How many are open when all are."""
        ready, _, _ = select.select([self.process.stdout], [], [], seconds * library.SLOWER)
        line = self.process.stdout.readline() if ready else b""
        assert line, f"not all are open within {seconds * library.SLOWER:g} s, or the clients ended ({self.process.poll()})"
        return json.loads(line)["open"]

    def stop(self):
        self.process.terminate()

    def report(self, seconds=120):
        """When all have ended, or were stopped."""
        out, _ = self.process.communicate(timeout=seconds * library.SLOWER)
        assert self.process.returncode == 0, self.process.returncode
        return json.loads(out)
