"""Fixtures of the end-to-end tests; podvisor.py says what they give."""
import os
import pathlib
import shutil
import signal
import tempfile

import pytest

import npm
import podvisor as library


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
