"""RAM disks that fill up, from outside: what is purged, what stays, and who is restarted when that is not enough."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from supervised import DEADLINE_S, TREE, alive, built, identity, pods  # noqa: F401


def missing():
    """Why no RAM disk of our own can be mounted here, or None."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return "needs root and unshare"
    done = subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "test", "/mnt"], capture_output=True, text=True)
    return None if done.returncode == 0 else "no mount here: " + done.stderr.strip()


WHY_NOT = missing()
pytestmark = [built, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]
PYTHON = "/usr/bin/python3"
MIB = 1 << 20

# Fills the RAM disk with files of 1 MiB, up to so many, and holds the first one open.
WRITER = """
import os, sys, time
held = []
for i in range(int(sys.argv[2])):
    f = open(os.path.join(sys.argv[1], f"file-{i}"), "wb")
    f.write(b"x" * (1 << 20))
    f.flush()
    held += [f] if i == 0 else [f.close()]
    time.sleep(0.01)
print("written", flush=True)
time.sleep(10000)
"""


def disk(path, **more):
    return {"path": str(path), "size": "16Mi", "mount": "create", **more}


def writer(path, files):
    return {"command": [PYTHON, "-c", WRITER, str(path), str(files)], "depends_on": ["volume:disk"]}


def start(pods, config):  # noqa: F811
    return pods(config, wrap=("unshare", "-m", "--"))


def seen_by(pod, path):
    """What lies on the disk, which is mounted for podvisor alone."""
    return {entry.name for entry in (pathlib.Path(f"/proc/{pod.pid}/root") / str(path).lstrip("/")).iterdir()}


def test_the_oldest_files_go_and_one_that_is_open_stays(pods, tmp_path):  # noqa: F811
    path = tmp_path / "disk"
    pod = start(pods, {"volumes": {"disk": disk(path, purge=["file-*"])}, "workers": {"writer": writer(path, 15)}})
    pod.log("writer", "^written$", own=False)
    purged = pod.log(msg=r"files deleted, \dMi freed, (6\d)% used; of those that match, 1 in use", volume="disk")
    left = seen_by(pod, path)
    assert "file-0" in left, "it is open"
    deleted = [i for i in range(15) if f"file-{i}" not in left]
    assert deleted == list(range(1, 1 + len(deleted))), "the oldest first"
    pod.await_control()
    volume = pod.ask("GET", "/api/v1/status").json()["volumes"][0]
    assert volume["purge"]["files"] == len(deleted) and volume["purge"]["bytes"] == len(deleted) * MIB
    assert volume["purge"]["in_use"] == 1 and volume["used_percent"] < 70
    assert f'podvisor_volume_purged_files_total{{volume="disk"}} {len(deleted)}\n' in pod.ask("GET", "/metrics").text
    assert len(pod.find(msg="files deleted")) == 1 and purged
    assert pod.stop() == 0


def test_what_may_not_be_purged_is_told_and_those_in_on_full_are_restarted(pods, tmp_path):  # noqa: F811
    path = tmp_path / "disk"
    pod = start(pods, {"volumes": {"disk": disk(path, purge=["file-*"], min_age="1h", on_full=["cleaner"])},
                       "workers": {"writer": writer(path, 15), "cleaner": {"command": [TREE]},
                                   "other": {"command": [TREE]}}})
    old = {name: identity(pod.ready(name)) for name in ("writer", "cleaner", "other")}
    pod.log(msg="^0 files deleted, 0 freed, 9.% used; of those that match, 15 younger than min_age", volume="disk")
    full = pod.log(msg="^it stays 9.% full, above 85%: restarting cleaner$", volume="disk")
    pod.log("cleaner", "^stopping: a RAM disk stays full")
    pod.ready("cleaner", after=full)
    assert not alive([old["cleaner"]]) and len(alive([old["writer"], old["other"]])) == 2
    assert pod.stop() == 0


def test_many_files_hold_nothing_up(pods, tmp_path):  # noqa: F811
    """PURGE_FILES=1000000 in the environment makes it a million."""
    files, path = int(os.environ.get("PURGE_FILES", "50000")), tmp_path / "disk"
    maker = ("import os, sys\nos.mkdir(sys.argv[1] + '/d')\nos.chdir(sys.argv[1] + '/d')\n"
             "for i in range(int(sys.argv[2])): os.close(os.open(f'{i:x}', os.O_CREAT | os.O_WRONLY))\n"
             "os.chdir('/')\nprint('made', flush=True)\nimport time; time.sleep(10000)")
    path.mkdir()
    mounting = f'mount -t tmpfs -o nr_inodes={files + files // 2} test {path} && exec "$@"'
    pod = pods({"volumes": {"disk": {"path": str(path), "size": "1Gi", "purge": ["d/*"], "high": "60%", "low": "10%"}},
                "workers": {"maker": {"command": [PYTHON, "-c", maker, str(path), str(files)], "depends_on": ["volume:disk"]}}},
               wrap=("unshare", "-m", "--", "sh", "-c", mounting, "sh"))
    pod.log("maker", "^made$", own=False, seconds=8 * DEADLINE_S)
    pod.log(msg=r"^\d+ files deleted", volume="disk", after=pod.log(msg="below 10% again", volume="disk", seconds=8 * DEADLINE_S))
    purged = sum(int(re.match(r"\d+", line.msg)[0]) for line in pod.find(msg=r"^\d+ files deleted"))
    assert purged >= files * 0.8, pod.tail()
    pod.await_control()
    lag = re.findall(r'podvisor_loop_lag_seconds_bucket\{le="([0-9.]+)"\} (\d+)', pod.ask("GET", "/metrics").text)
    print("rounds of the loop that took no longer:", lag)
    assert pod.stop() == 0
