"""File systems that hang: podvisor goes on without them, and ends in spite of them."""
import ctypes
import os
import pathlib
import subprocess

import pytest

from podvisor import not_under_valgrind
from supervised import TREE, await_true, built, pods, root_only, workers

pytestmark = [built, not_under_valgrind("it does not end while one of the threads hangs")]


HANGING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>
/* A file system that stops answering once the file is there, as a dead NFS server's does: no signal ends the call. */
int statfs(const char *path, struct statfs *out)
{
	int (*real)(const char *, struct statfs *) = (int (*)(const char *, struct statfs *))dlsym(RTLD_NEXT, "statfs");
	if (access(getenv("HANG_WHEN"), F_OK) == 0) {
		close(open(getenv("HANGS"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
		for (;;)
			pause();
	}
	return real(path, out);
}
"""


@pytest.fixture
def hanging(tmp_path):
    source, library = tmp_path / "hanging.c", tmp_path / "hanging.so"
    source.write_text(HANGING)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    # Sanitizers want to be the first library; this one has nothing of theirs.
    options = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
    return {"LD_PRELOAD": str(library), "HANG_WHEN": str(tmp_path / "when"), "HANGS": str(tmp_path / "hangs"),
            "ASAN_OPTIONS": options}


def test_a_volume_that_hangs_does_not_keep_podvisor_beyond_its_deadline(pods, hanging):
    place = pathlib.Path(hanging["HANG_WHEN"]).parent / "volume"
    pod = pods({"volumes": {"stuck": {"path": str(place), "size": "1Mi", "mount": "any"}},
                "shutdown": {"deadline": "1s"}, **workers(one=[TREE, "session"])}, env=hanging)
    pod.ready("one")
    pathlib.Path(hanging["HANG_WHEN"]).touch()
    await_true("the measurement that hangs", lambda: os.path.exists(hanging["HANGS"]))
    pod.kill()
    assert pod.wait() == 1
    assert pod.find(msg="^shutdown.deadline is over: podvisor ends and leaves behind volume stuck", level="error")
    assert "left behind: volume stuck" in pod.termination.read_text()
    assert pod.marked() == []


# ---- a mount whose server never answers, as that of a dead NFS ----

LIBC = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2


@pytest.fixture
def dead_mount(tmp_path):
    """A directory in which every look-up hangs until the end of the test."""
    place = tmp_path / "dead"
    place.mkdir()
    try:
        server = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as e:
        pytest.skip(f"/dev/fuse: {e.strerror}")
    options = f"fd={server},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if LIBC.mount(b"dead", str(place).encode(), b"fuse", 0, options) != 0:
        os.close(server)
        pytest.skip(f"no FUSE can be mounted here: {os.strerror(ctypes.get_errno())}")
    yield place
    LIBC.umount2(str(place).encode(), MNT_DETACH)
    os.close(server)  # whoever hangs there is let go


@root_only
def test_an_env_file_that_hangs_holds_up_its_worker_alone(pods, dead_mount):
    pod = pods(workers(stuck={"command": [TREE], "env_files": [str(dead_mount / "env")]}, well=[TREE]))
    pod.ready("well")
    pod.log("stuck", "^could not start: its user and its env_files could not be read in time", level="error")
    pod.log("stuck", "^could not start: an earlier look-up of its user or reading of its env_files still hangs")
    assert pod.state("well") == "ready"
    assert pod.stop() == 0
    pod.assert_nothing_left()


@root_only
def test_a_stop_wins_over_a_start_that_hangs(pods, dead_mount):
    pod = pods(workers(stuck={"command": [TREE], "env_files": [str(dead_mount / "env")]}, well=[TREE]))
    pod.log("stuck", "^starting")
    pod.ready("well")
    assert pod.stop() == 0
    assert pod.find("stuck", "^stopped: ") and not pod.find("stuck", level="error")
    pod.assert_nothing_left()


@root_only
def test_a_file_check_that_hangs_takes_no_more_than_one_thread(pods, dead_mount, tmp_path):
    (tmp_path / "there").touch()
    soon = {"interval": "50ms", "timeout": "50ms", "failure_threshold": 1000}
    pod = pods(workers(stuck={"command": [TREE], "readiness": {"file": str(dead_mount / "ready"), **soon}},
                       well={"command": [TREE], "depends_on": ["last"], "readiness": {"file": str(tmp_path / "there")}},
                       last={"command": ["sleep", "1"], "kind": "task"}))  # until many checks have hung
    pod.ready("well")
    assert pod.state("stuck") == "running"
    assert pod.stop() == 0
    pod.assert_nothing_left()
