"""Fixtures of the end-to-end tests; podvisor.py says what they give. And the deadline of each of them."""
import contextlib
import os
import pathlib
import shutil
import signal
import tempfile

import pytest

import npm
import podvisor as library

LIMIT_S = 300 * library.SLOWER


@contextlib.contextmanager
def limit(phase):
    """What hangs in spite of its own deadlines fails by name, and the others still have their turn."""
    def over(*_):
        pytest.fail(f"the {phase} of this test was still running after {LIMIT_S:g} s")
    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup():
    with limit("setup"):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call():
    with limit("call"):
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown():
    with limit("teardown"):
        yield


@pytest.fixture
def podvisor():
    """Starts podvisors, see podvisor.py. Each is ended with the test; one that leaves something behind fails it."""
    if not os.access(library.PROGRAM, os.X_OK):
        pytest.fail(f"{library.PROGRAM} is not built")
    started, directories = [], []

    def start(config, *words, env=None, wrapper=()):
        # Not pytest's tmp_path: the path of a Unix socket is at most 107 bytes long.
        directories.append(tempfile.mkdtemp(prefix="podvisor-e2e-"))
        started.append(library.Podvisor(directories[-1], config, *words, env=env, wrapper=wrapper))
        return started[-1]

    yield start
    complaints = []
    for pod in started:
        if pod.process.poll() is None:
            pod.send(signal.SIGTERM)
            try:
                pod.wait_end()
            except AssertionError as e:
                complaints.append(str(e))
        complaints += [f"left behind: {line}" for line in pod.kill_all()]
    for directory in directories:
        shutil.rmtree(directory, ignore_errors=True)
    assert not complaints, "\n".join(complaints)


@pytest.fixture
def directory():
    """A directory with a short path, for sockets."""
    path = tempfile.mkdtemp(prefix="podvisor-e2e-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def browser_modules():
    """node_modules with the clients of headless Chrome."""
    for tool in "node", "npm":
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")
    return npm.installed(pathlib.Path(__file__).with_name("browsers"))
