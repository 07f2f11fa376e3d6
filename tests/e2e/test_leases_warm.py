"""Workers that stand by warm: the process is there before its lease is (SPEC 7)."""
import os
import signal
import time

import pytest

from cluster import shared_cluster
from lease_stage import KILL_AT_S, PYTHON, SLOW, WARM, Stage, by_name, held, metric
from podvisor import wait_until


@pytest.fixture
def stage(podvisor, directory, shared_cluster):
    return Stage(podvisor, directory, shared_cluster.dsn)


def warm(stage, name, dawdle=0, **worker):
    env = {"WHO": name, "DAWDLE": str(dawdle)}
    return stage.replica(name, command=[PYTHON, "-c", WARM, str(stage.stamps)], standby="warm", env=env, **worker)


def pair(stage, **worker):
    """Holder, the other with its warm process, and the grant."""
    pods = by_name(warm(stage, name, **worker) for name in ("pod-a", "pod-b"))
    grant = stage.await_grant()
    holder = pods.pop(grant.who)
    other, = pods.values()
    other.wait("its process stands by", lambda: other.worker("one")["pid"] and other.worker("one")["state"] == "standby")
    return holder, other, grant


def test_a_warm_process_is_told_its_token_and_goes_on_as_the_same_process(stage):
    holder, other, grant = pair(stage, critical=True)
    told = other.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
    pid = told["pid"]
    other.wait_ready()
    assert holder.stop() == 0
    after = stage.await_grant(grant)
    assert after.who == other.config["instance"]
    told = other.wait_worker("one", state="ready")
    assert told["pid"] == pid and told["restarts"] == 0, other.tail()
    assert other.status()["leases"][0]["token"] == after.token
    assert other.stop() == 0
    assert not list(other.dir.glob("*activation*")), "the file goes with its run"
    stage.assert_one_at_a_time()


def test_it_gives_the_lease_up_and_stands_by_again_with_another_process(stage):
    holder, other, grant = pair(stage)
    first = holder.worker("one")["pid"]
    assert holder.cli("drain").code == 0
    after = stage.await_grant(grant)
    assert after.who == other.config["instance"]
    told = holder.wait("it stands by again", lambda: (w := holder.worker("one"))["state"] == "standby" and w["pid"] and w)
    assert told["pid"] != first
    assert holder.cli("undrain").code == 0
    assert other.stop() == 0
    assert stage.await_grant(after).who == holder.config["instance"]
    assert holder.stop() == 0
    stage.assert_one_at_a_time()


def test_one_that_is_told_before_it_listens_finds_the_file(stage):
    """SIGUSR1 would end it, if it had not begun with that signal ignored."""
    holder, other, grant = pair(stage, dawdle=1.5 * SLOW)
    assert holder.stop() == 0
    after = stage.await_grant(grant)
    other.wait_worker("one", state="ready", restarts=0)
    assert other.stop() == 0 and after.token > grant.token


def test_its_shim_holds_the_deadline_from_the_moment_it_is_told(stage):
    """The holder's podvisor is stopped right after the hand-over: what stood by warm is killed in time."""
    holder, other, grant = pair(stage)
    assert holder.stop() == 0
    after = stage.await_grant(grant)
    other.send(signal.SIGSTOP)
    stopped_at = time.clock_gettime(time.CLOCK_BOOTTIME)
    third = warm(stage, "pod-c")
    newest = stage.await_grant(after)
    assert newest.who == "pod-c"
    last = next(g for g in stage.grants() if g.token == after.token).last
    assert last - stopped_at <= KILL_AT_S + 0.5 * SLOW
    other.send(signal.SIGCONT)
    other.wait("it stands by again", lambda: other.worker("one")["state"] == "standby" and other.worker("one")["pid"])
    assert metric(other, "podvisor_lease_fence_kills_total") == 1
    assert [other.stop(), third.stop()] == [0, 0]
    stage.assert_one_at_a_time()


def test_one_that_ends_while_it_stands_by_is_started_again_and_the_lease_stays_where_it_is(stage):
    holder, other, grant = pair(stage)
    first = other.worker("one")["pid"]
    os.kill(first, signal.SIGKILL)
    told = other.wait("another one", lambda: (w := other.worker("one"))["state"] == "standby" and w["pid"] not in (None, first) and w)
    assert told["restarts"] == 1
    assert held(holder) and not held(other) and len(stage.grants()) == 1
    assert other.cli("stop", "one").code == 0
    assert other.worker("one")["pid"] is None
    assert [holder.stop(), other.stop()] == [0, 0]


def test_what_stands_by_is_not_judged_by_its_checks(stage):
    """Readiness fails until it works; it counts as ready, and is started once."""
    check = {"readiness": {"exec": ["/bin/false"], "interval": "100ms"}, "liveness": {"exec": ["/bin/false"], "interval": "100ms"}}
    holder = warm(stage, "pod-a")
    grant = stage.await_grant()
    other = warm(stage, "pod-b", critical=True, **check)
    other.wait("its process stands by", lambda: other.worker("one")["pid"])
    other.wait_ready()
    beats = stage.newest().last
    wait_until("a second passes", lambda: stage.newest().last > beats + 1)
    assert other.worker("one")["restarts"] == 0 and other.worker("one")["checks"] is not None
    assert [holder.stop(), other.process.poll()] == [0, None]
    stage.await_grant(grant)
    other.wait("it is judged now", lambda: other.worker("one")["restarts_by_reason"].get("liveness"))
    assert other.stop() == 0
