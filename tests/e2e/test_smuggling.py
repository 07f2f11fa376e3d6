"""Requests that two parsers may read differently: the gateway refuses them, and what it passes on can be read in one way only."""
import concurrent.futures
import shutil
import tempfile

import pytest

import podvisor as library
import smuggling

CASES = smuggling.corpus()
PATIENCE_S = 60 * library.SLOWER
TIMEOUT = f"{2 * library.SLOWER:g}s"  # of messages that never end


def converse(port, case):
    client = smuggling.Client(port, to_head=case.sent.startswith(b"HEAD"))
    client.send(case.sent)
    heard = client.read(lambda answers: len(answers.statuses) == len(case.statuses), PATIENCE_S)
    statuses, asked_again = list(client.answers.statuses), client.answers.open
    if asked_again:
        client.send(smuggling.last_request(case))
    ended = client.read(lambda answers: False, PATIENCE_S)
    client.close()
    assert heard and ended, f"{case}: no answer after {statuses}"
    return statuses, client.answers.statuses[len(statuses):], asked_again


class Outcome:
    """Of all cases together: what each client was answered, and what the backend got."""

    def __init__(self, port, backend):
        self.backend = backend
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            self.answers = list(pool.map(lambda case: converse(port, case), CASES))


@pytest.fixture(scope="module")
def outcome():
    directory = tempfile.mkdtemp(prefix="podvisor-e2e-")
    backend = smuggling.Backend()
    port = library.free_port()
    pod = library.Podvisor(directory, {"gateway": {
        "listen": f"127.0.0.1:{port}", "routes": [{"path": "/", "to": f"127.0.0.1:{backend.port}"}],
        "timeouts": {"header": TIMEOUT, "idle": TIMEOUT}, "drain": {"lame_duck": "0s"}}})
    try:
        pod.wait_log(msg="the gateway listens")
        result = Outcome(port, backend)
        assert pod.stop() == 0
        backend.close()
        yield result
    finally:
        pod.kill_all()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("case", CASES, ids=repr)
def test_case(outcome, case):
    statuses, afterwards, asked_again = outcome.answers[case.number]
    assert statuses == case.statuses
    assert afterwards == ([200] if asked_again else []), "the connection was left in doubt"
    reached = [str(request) for request in outcome.backend.requests if case.tag in request.target + request.host]
    assert reached == case.reaches + ([f"GET /{case.tag}/last a"] if asked_again else [])
    begun = [record.rest for record in outcome.backend.records if case.tag.encode() in record.rest]
    assert len(begun) == case.begun, begun


def test_nothing_that_reached_the_backend_can_be_read_in_two_ways(outcome):
    assert [record.ambiguous for record in outcome.backend.records if record.ambiguous] == []
    assert all(record.ended for record in outcome.backend.records)


def told_in_the_book(case):
    if 408 in case.statuses:
        return "waits"
    refusal = [str(status) for status in case.statuses if status >= 300]
    same = {0: [], 1: ["same"]}.get(len(case.reaches), [f"same {len(case.reaches)}"])
    return ", ".join(same + refusal)


def test_the_book_s_table_has_every_case_and_podvisor_s_verdict():
    book = (library.ROOT / "docs/smuggling.md").read_text()
    for group in {case.group for case in CASES}:
        rows = book.partition(f"\n## {group}\n")[2].partition("\n## ")[0].splitlines()
        told = [row.split(" | ")[:2] for row in rows if row.startswith("| ") and not row.startswith("| case |")]
        assert told == [[f"| {case.name}", told_in_the_book(case)] for case in CASES if case.group == group], \
            "tests/tools/verdicts > docs/smuggling.md"
