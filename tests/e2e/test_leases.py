"""Leases with two and three real podvisors on a real PostgreSQL (SPEC 7)."""
import os
import pathlib
import signal
import subprocess
import time

import pytest

from cluster import Cluster, Wire, cluster, shared_cluster, tcp_cluster
from lease_stage import HELD_AGAIN_S, KILL_AT_S, PYTHON, SLOW, STAMP, TIMES, TTL_S, Stage, by_name, held, metric
from podvisor import wait_until

@pytest.fixture
def stage(podvisor, directory, shared_cluster):
    """On a cluster that has seen others: what they released is taken at once."""
    return Stage(podvisor, directory, shared_cluster.dsn)


@pytest.fixture
def lone_stage(podvisor, directory, cluster):
    """On a cluster of its own, on which the first grant of all takes a term."""
    return Stage(podvisor, directory, cluster.dsn)


def test_the_worker_of_one_replica_runs_and_the_others_stand_by_ready(stage, shared_cluster):
    pods = [stage.replica(name, critical=True) for name in ("pod-a", "pod-b", "pod-c")]
    grant = stage.await_grant()
    holder = by_name(pods)[grant.who]
    for pod in pods:
        pod.wait_ready()  # holding a lease never affects readiness
        if pod is not holder:
            told = pod.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
            assert told["pid"] is None
    row = shared_cluster.sql("select holder, token, counter, timeline from podvisor.lease where name = 'indexer'").split("|")
    assert row[0].startswith(grant.who + "/") and int(row[1]) == grant.token == int(row[3]) * 2 ** 40 + int(row[2])
    lease = holder.status()["leases"][0]
    assert lease["held"] and lease["token"] == grant.token and 0 < lease["deadline_seconds"] <= KILL_AT_S
    holder.wait("three members", lambda: holder.status()["lease_members"] == 3)
    assert metric(holder, "podvisor_lease_held") == 1 and metric(holder, "podvisor_lease_token") == grant.token
    assert [pod.stop() for pod in pods] == [0, 0, 0]
    stage.assert_one_at_a_time()


def test_a_holder_that_is_told_to_stop_hands_over_and_never_two_run(stage):
    """L2: as in a rolling update, each time to a replica that has come since."""
    pods = [stage.replica("pod-0")]
    grant = stage.await_grant()
    gaps = []
    for i in range(1, int(os.environ.get("HANDOVERS", "8")) + 1):
        pods.append(stage.replica(f"pod-{i}"))
        pods[-1].wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
        pods[0].wait("both take part", lambda: pods[0].status()["lease_members"] == 2)
        assert pods.pop(0).stop() == 0
        after = stage.await_grant(grant)
        assert after.who == f"pod-{i}"
        gaps.append(after.first - grant.last)
        grant = after
    pods[0].stop()
    stage.assert_one_at_a_time()
    assert max(gaps) < 1 * SLOW, gaps  # what the contract says, not how fast this machine is: the term is longer
    print(f"from the last stamp of one to the first of the next: {sorted(gaps)}")


def test_a_hand_over_does_not_wait_until_somebody_looks(stage):
    """Between two looks lie ten seconds; the notification is what brings it about."""
    long = {"ttl": "30s", "renew": "10s", "attempt": "2s", "drain_at": "15s", "kill_at": "20s"}
    first = stage.replica("pod-0")  # the first grant of all takes a term, which is short here
    grant = stage.await_grant()
    assert first.stop() == 0
    for i in range(3):
        pod = stage.replica(f"pod-a{i}", leases=long)
        grant = stage.await_grant(grant)
        heir = stage.replica(f"pod-b{i}", leases=long)
        heir.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
        assert pod.stop() == 0
        after = stage.await_grant(grant)
        assert after.who == f"pod-b{i}" and after.first - grant.last < 3 * SLOW
        assert metric(heir, "podvisor_lease_handover_seconds_count") == 1
        grant = after
        assert heir.stop() == 0
    stage.assert_one_at_a_time()


def test_the_newest_replica_gets_what_is_handed_over(stage):
    first = stage.replica("pod-a")
    grant = stage.await_grant()
    older = stage.replica("pod-b")
    first.wait("both take part", lambda: first.status()["lease_members"] == 2)
    newer = stage.replica("pod-c")
    for pod in older, newer:
        pod.wait_worker("one", state="standby", reason="lease indexer is held by pod-a")
    first.wait("all take part", lambda: first.status()["lease_members"] == 3)
    assert first.stop() == 0
    assert stage.await_grant(grant).who == "pod-c"
    assert [older.stop(), newer.stop()] == [0, 0]
    stage.assert_one_at_a_time()


def test_a_race_of_three_has_one_winner_each_time(stage):
    """L1: the holder gives the lease up, and nobody is preferred."""
    pods = by_name(stage.replica(name, leases={"prefer": "any"}) for name in ("pod-a", "pod-b", "pod-c"))
    grant = stage.await_grant()
    for pod in pods.values():
        pod.wait_answer()
    for _ in range(int(os.environ.get("RACES", "12"))):
        loser = pods[grant.who]
        assert loser.cli("stop", "one").code == 0
        after = stage.await_grant(grant)
        assert after.who != grant.who
        assert loser.cli("start", "one").code in (0, 1)
        loser.wait_worker("one", state="standby")
        grant = after
    for pod in pods.values():
        assert pod.stop() == 0
    stage.assert_one_at_a_time()


def test_after_the_death_of_a_holder_another_takes_over_in_time(stage):
    """L3."""
    pods = by_name(stage.replica(name) for name in ("pod-a", "pod-b"))
    grant = stage.await_grant()
    for name, pod in pods.items():
        if name != grant.who:
            pod.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
    dead = pods.pop(grant.who)
    dead.process.kill()
    dead.process.wait()
    after = stage.await_grant(grant)
    assert after.first - grant.last < HELD_AGAIN_S + 1 * SLOW
    dead.assert_nothing_left(after_kill=True)
    assert [pod.stop() for pod in pods.values()] == [0]
    stage.assert_one_at_a_time()


@pytest.mark.parametrize("stubborn", [False, True], ids=["obedient", "stubborn"])
def test_a_holder_whose_podvisor_is_stopped_is_killed_by_its_shim_before_another_runs(stage, stubborn):
    """L4: nothing is written after the new token, and podvisor, woken, stands by."""
    pods = by_name(stage.replica(name, stubborn=stubborn) for name in ("pod-a", "pod-b"))
    grant = stage.await_grant()
    stopped = pods.pop(grant.who)
    stopped.send(signal.SIGSTOP)
    stopped_at = time.clock_gettime(time.CLOCK_BOOTTIME)
    after = stage.await_grant(grant)
    killed_after = next(g for g in stage.grants() if g.token == grant.token).last - stopped_at
    assert killed_after <= KILL_AT_S + 0.5 * SLOW
    time.sleep(max(0, stopped_at + float(os.environ.get("STOPPED_S", "0")) - time.clock_gettime(time.CLOCK_BOOTTIME)))
    stopped.send(signal.SIGCONT)
    stopped.wait_worker("one", state="standby", reason=f"lease indexer is held by {after.who}")
    assert metric(stopped, "podvisor_lease_fence_kills_total") == 1
    assert stopped.worker("one")["restarts_by_reason"] == {"lease": 1}
    assert [stopped.stop(), *[pod.stop() for pod in pods.values()]] == [0, 0]
    stage.assert_one_at_a_time()


@pytest.mark.parametrize("stubborn", [False, True], ids=["obedient", "stubborn"])
def test_a_holder_that_loses_the_database_ends_before_another_runs(podvisor, directory, tcp_cluster, stubborn):
    """L5: packets are dropped both ways."""
    stage = Stage(podvisor, directory, tcp_cluster.dsn)
    wire = Wire(tcp_cluster.port)
    cut = stage.replica("pod-cut", f"host=127.0.0.1 port={wire.port} user=boss dbname=postgres", stubborn)
    grant = stage.await_grant()
    other = stage.replica("pod-other", stubborn=stubborn)
    other.wait_worker("one", state="standby", reason="lease indexer is held by pod-cut")
    cut_at = time.clock_gettime(time.CLOCK_BOOTTIME)
    wire.cut()
    after = stage.await_grant(grant)
    assert after.who == "pod-other"
    assert next(g for g in stage.grants() if g.token == grant.token).last - cut_at <= KILL_AT_S + 0.5 * SLOW
    cut.wait_worker("one", state="standby")
    wire.mend()
    cut.wait_worker("one", state="standby", reason="lease indexer is held by pod-other")
    assert [cut.stop(), other.stop()] == [0, 0]
    wire.close()
    stage.assert_one_at_a_time()


def test_a_fenced_transaction_that_stalls_keeps_the_next_holder_waiting_and_a_stale_token_gets_no_row(stage, shared_cluster):
    """L8."""
    pod = stage.replica("pod-a")
    grant = stage.await_grant()
    fence = "select 1 from podvisor.lease where name = 'indexer' and token = {} for key share"
    stall = subprocess.Popen([shared_cluster.BIN / "psql", "-XAtq", shared_cluster.dsn, "-c",
                              f"begin; {fence.format(grant.token)}; select pg_sleep({2 * TTL_S}); commit"], stdout=subprocess.PIPE, text=True)
    asleep = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'"
    wait_until("the fence is locked", lambda: shared_cluster.sql(asleep) == "1")
    pod.process.kill()
    pod.process.wait()
    other = stage.replica("pod-b")
    after = stage.await_grant(grant)
    assert stall.poll() is not None, "the take-over did not wait for the transaction"
    assert stall.communicate(timeout=30)[0].split() == ["1"]
    assert shared_cluster.sql(fence.format(grant.token)) == "", "a stale fence finds nothing"
    assert shared_cluster.sql(fence.format(after.token)) == "1"
    assert other.stop() == 0
    stage.assert_one_at_a_time()


def test_without_notifications_a_release_is_found_by_looking(stage, shared_cluster):
    """L9: the session that listens is killed just before the hand-over."""
    pods = by_name(stage.replica(name) for name in ("pod-a", "pod-b"))
    grant = stage.await_grant()
    heir = next(pod for name, pod in pods.items() if name != grant.who)
    heir.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
    shared_cluster.sql("select pg_terminate_backend(pid) from pg_stat_activity "
                f"where application_name = 'podvisor-leases-{heir.config['instance']}'")
    assert pods[grant.who].cli("stop", "one", "--no-wait").code == 0
    assert stage.await_grant(grant).who == heir.config["instance"]
    assert [pod.stop() for pod in pods.values()] == [0, 0]
    stage.assert_one_at_a_time()


def test_a_database_that_goes_and_comes_starts_nobody_twice(lone_stage, cluster):
    pods = by_name(lone_stage.replica(name) for name in ("pod-a", "pod-b"))
    grant = lone_stage.await_grant()
    cluster.stop()
    pods[grant.who].wait_worker("one", state="standby", pid=None)
    for pod in pods.values():
        assert pod.worker("one")["state"] == "standby"
    cluster.start()
    lone_stage.await_grant(grant)
    assert [pod.stop() for pod in pods.values()] == [0, 0]
    lone_stage.assert_one_at_a_time()


def test_work_that_is_harmless_twice_goes_on_without_a_database(lone_stage, cluster):
    pod = lone_stage.replica("pod-a", on_database_loss="keep")
    grant = lone_stage.await_grant()
    run = pod.wait_worker("one", state="ready")["run"]
    cluster.stop()
    wait_until("it stamps on beyond the term", lambda: lone_stage.newest().last - grant.first > 2 * TTL_S)
    assert pod.wait_worker("one", state="ready")["run"] == run
    cluster.start()
    pod.wait("it is renewed again", lambda: pod.status()["leases"][0]["trouble"] is None and held(pod))
    assert pod.wait_worker("one", state="ready")["run"] == run
    assert pod.stop() == 0


def test_a_failover_that_loses_the_last_grants_repeats_no_token_and_makes_no_second_holder(lone_stage, cluster):
    """L7."""
    pods = by_name(lone_stage.replica(name) for name in ("pod-a", "pod-b"))
    grant = lone_stage.await_grant()
    cluster.copy()
    for _ in range(3):  # grants that the copy knows nothing of
        loser = pods[grant.who]
        loser.cli("stop", "one")
        grant = lone_stage.await_grant(grant)
        loser.cli("start", "one")
    lost = int(cluster.sql("select counter from podvisor.lease"))
    cluster.fail_over()
    assert int(cluster.sql("select counter from podvisor.lease")) < lost
    after = lone_stage.await_grant(grant)
    assert after.token >> 40 == 2 and grant.token >> 40 == 1
    assert after.first - grant.last > 0
    assert [pod.stop() for pod in pods.values()] == [0, 0]
    lone_stage.assert_one_at_a_time()


def test_a_clock_of_the_server_that_leaps_changes_nothing(stage, shared_cluster):
    """All that the server's clock has written says another hour."""
    pods = by_name(stage.replica(name) for name in ("pod-a", "pod-b"))
    grant = stage.await_grant()
    for leap in "- interval '1 hour'", "+ interval '1 hour'":
        for _ in range(5):
            shared_cluster.sql(f"update podvisor.lease set renewed_at = renewed_at {leap}; update podvisor.member set seen_at = seen_at {leap}")
            before = stage.newest()
            wait_until("it goes on", lambda: stage.newest().last - before.last > 0.3)
    assert len(stage.grants()) == 1 and stage.newest().token == grant.token
    assert [pod.stop() for pod in pods.values()] == [0, 0]
    stage.assert_one_at_a_time()


FAKETIME = pathlib.Path("/usr/lib") / f"{os.uname().machine}-linux-gnu" / "faketime" / "libfaketime.so.1"


def test_clocks_on_the_wall_that_are_set_change_nothing(podvisor, directory):
    """L6: the server's and the replicas', an hour on and back, each to another hour."""
    assert FAKETIME.exists(), "libfaketime is not installed"
    clocks = {name: pathlib.Path(directory) / f"clock-{name}" for name in ("server", "pod-a", "pod-b")}
    sanitized = SLOW > 1  # a sanitizer wants to be loaded first

    def fake(name):
        return {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clocks[name]), "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "FAKETIME_NO_CACHE": "1"}

    def set_clock(name, hours):
        fresh = clocks[name].with_suffix(".new")
        fresh.write_text(f"{hours:+d}h\n")
        fresh.rename(clocks[name])

    os.chmod(directory, 0o755)
    for name in clocks:
        set_clock(name, 0)
    server = Cluster(env=fake("server"))
    try:
        stage = Stage(podvisor, directory, server.dsn)
        stage.env = {} if sanitized else fake
        pods = by_name(stage.replica(name) for name in ("pod-a", "pod-b"))
        grant = stage.await_grant()
        began, now = stage.newest().first, int(server.sql("select extract(epoch from clock_timestamp())::bigint"))
        for hours in 1, -1, 0:
            for i, name in enumerate(clocks):
                set_clock(name, hours * (i + 1))
            wait_until("the server's clock leaps", lambda: abs(
                int(server.sql("select extract(epoch from clock_timestamp())::bigint")) - now - 3600 * hours) < 600)
            before = stage.newest().last
            wait_until("it goes on over some renewals", lambda: stage.newest().last - before > TTL_S / 3)
        assert len(stage.grants()) == 1 and stage.newest().first == began, "nobody took it early"
        holder = pods[grant.who]
        assert holder.status()["leases"][0]["renewals_failed"] == 0
        set_clock("server", -1)
        assert holder.stop() == 0
        last = stage.newest().last
        assert stage.await_grant(grant).first - last < TTL_S
        assert [pod.stop() for name, pod in pods.items() if name != grant.who] == [0]
        stage.assert_one_at_a_time()
    finally:
        server.end()


class Shards:
    """Replicas that share N instances of a worker, each instance with a lease and a file of stamps of its own."""

    def __init__(self, start, path, dsn, n):
        self.start, self.path, self.dsn, self.n = start, pathlib.Path(path), dsn, n

    def replica(self, name):
        script = STAMP.replace("sys.argv[1]", "sys.argv[1] + os.environ['PODVISOR_LEASE'].partition('/')[2]")
        return self.start({"instance": name, "postgres": {"main": {"dsn": self.dsn}}, "leases": {"postgres": "main", **TIMES},
                           "workers": {"shard": {"command": [PYTHON, "-c", script, str(self.path / "stamps")], "instances": self.n,
                                                 "critical": True, "env": {"WHO": name}, "lease": {"name": "shard", "spread": True}}}})

    def stages(self):
        for i in range(self.n):
            one = Stage(None, self.path, self.dsn)
            one.stamps = self.path / f"stamps{i}"
            one.stamps.touch()
            yield one

    def held_by(self, pod):
        return sorted(lease["name"] for lease in pod.status()["leases"] if lease["held"])

    def await_even(self, *pods):
        """All are held, by nobody more than one more than by another."""
        def even():
            counts = [len(self.held_by(pod)) for pod in pods]
            return sum(counts) == self.n and max(counts) - min(counts) <= 1
        wait_until(f"an even share for {len(pods)}", even, 60)


def test_instances_are_shared_evenly_through_a_rolling_update(podvisor, directory, shared_cluster):
    """L10: one replica more, one less, three times; new pods are ready whatever they hold."""
    shards = Shards(podvisor, directory, shared_cluster.dsn, 16)
    pods = [shards.replica(f"old-{i}") for i in range(3)]
    shards.await_even(*pods)
    settled = [len(one.grants()) for one in shards.stages()]  # whoever began first had more for a while
    for i in range(3):
        pods.append(shards.replica(f"new-{i}"))
        pods[-1].wait_ready()
        shards.await_even(*pods)
        assert pods.pop(0).stop() == 0
        shards.await_even(*pods)
    for pod in pods:
        assert pod.stop() == 0
    moves = [len(one.assert_one_at_a_time()) - before for one, before in zip(shards.stages(), settled)]
    assert max(moves) <= 6, "no instance moves twice for one change of replicas"
    print(f"moves of each instance in six changes: {moves}")


def test_a_worker_that_a_reload_brings_gets_a_lease_of_its_own(stage, shared_cluster):
    pod = stage.replica("pod-a")
    stage.await_grant()
    pod.config["workers"]["two"] = {"command": ["/bin/sleep", "1000"], "lease": "another"}
    pod.write_config(pod.config)
    pod.send(signal.SIGHUP)
    pod.wait_worker("two", state="ready")
    assert shared_cluster.sql("select count(*) from podvisor.lease where holder like 'pod-a/%'") == "2"
    assert len(stage.grants()) == 1, "the first one was left alone"
    pod.config["leases"]["ttl"] = "60s"
    pod.write_config(pod.config)
    assert "leases: they cannot change while podvisor runs" in pod.cli("reload").err
    assert pod.stop() == 0


def test_a_drain_without_an_end_hands_over_and_taken_back_it_stands_by(stage):
    pods = by_name(stage.replica(name) for name in ("pod-a", "pod-b"))
    grant = stage.await_grant()
    drained = pods.pop(grant.who)
    other, = pods.values()
    other.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
    assert drained.cli("drain").code == 0
    after = stage.await_grant(grant)
    assert after.who == other.config["instance"]
    assert drained.cli("undrain").code == 0
    drained.wait_worker("one", state="standby", reason=f"lease indexer is held by {after.who}")
    assert [drained.stop(), other.stop()] == [0, 0]
    stage.assert_one_at_a_time()


def test_what_the_role_may_not_do_is_told(podvisor, directory, cluster):
    cluster.sql("create role weak login")
    stage = Stage(podvisor, directory, cluster.dsn.replace("user=boss", "user=weak"))
    pod = stage.replica("pod-a")
    told = pod.wait_worker("one", state="standby", reason="lease indexer: permission denied for database postgres")
    assert told["wanted"]
    cluster.sql("grant create on database postgres to weak")
    stage.await_grant()
    assert pod.stop() == 0


def test_a_container_that_ends_badly_leaves_its_lease_to_its_term(stage, shared_cluster):
    """The row of a podvisor that was killed is nobody's until its term is over, also for the next start of the pod."""
    first = stage.replica("pod-a")
    grant = stage.await_grant()
    first.process.kill()
    first.process.wait()
    again = stage.replica("pod-a")
    after = stage.await_grant(grant)
    assert after.first - grant.last >= TTL_S - 1
    assert again.stop() == 0
    stage.assert_one_at_a_time()
