"""Leases that are Lease objects of Kubernetes, with real podvisors and a stub of the API server (SPEC 7, L12)."""
import json
import time

import pytest

from cluster import Wire
from kubernetes_api import KubernetesApi
from lease_stage import HELD_AGAIN_S, KILL_AT_S, PYTHON, SLOW, STAMP, TTL_S, Stage, by_name, held, metric
from podvisor import wait_until

OBJECT = "podvisor.indexer"


class ObjectStage(Stage):
    def __init__(self, start, path, api):
        super().__init__(start, path, None)
        self.api = api

    def where(self, port):
        env = {**self.api.env, **({"KUBERNETES_SERVICE_PORT": str(port)} if port else {})}
        return {"leases": {"backend": "kubernetes", "service_account": str(self.api.account)}}, env


@pytest.fixture
def api(directory):
    one = KubernetesApi(directory)
    yield one
    one.close()


@pytest.fixture
def stage(podvisor, directory, api):
    return ObjectStage(podvisor, directory, api)


@pytest.fixture
def two(stage):
    """A holder and one that stands by, its grant, and at the end: that never two ran, and nobody told the token."""
    stage.api.make_released(OBJECT, 1000)  # else the first grant of all takes a term
    pods = by_name(stage.replica(name) for name in ("pod-a", "pod-b"))
    grant = stage.await_grant()
    holder = pods.pop(grant.who)
    other, = pods.values()
    other.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
    yield holder, other, grant
    for pod in holder, other:
        if pod.process.poll() is None:
            assert pod.stop() == 0
        said = pod.log_file.read_text() + pod.errors_file.read_text()
        assert stage.api.token not in said and "first-" not in said
    stage.assert_one_at_a_time()


def last_stamp(stage, grant):
    return next(g for g in stage.grants() if g.token == grant.token).last


def now():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_the_lease_is_an_object_as_others_know_it_and_its_token_is_its_transitions(stage, two):
    holder, other, grant = two
    lease = stage.api.objects[OBJECT]
    assert lease["spec"]["holderIdentity"].startswith(grant.who + "/")
    assert lease["spec"]["leaseTransitions"] == grant.token == holder.status()["leases"][0]["token"]
    assert lease["spec"]["leaseDurationSeconds"] == TTL_S
    assert held(holder) and not held(other)
    holder.wait("both take part", lambda: holder.status()["lease_members"] == 2)
    assert metric(holder, "podvisor_lease_token") == grant.token


def test_on_sigterm_the_lease_is_handed_over_by_a_watch(stage, two):
    """Between two looks lie ten seconds here; the watch is what brings it about."""
    holder, other, grant = two
    assert other.stop() == 0
    long = {"ttl": "30s", "renew": "10s", "attempt": "2s", "drain_at": "15s", "kill_at": "20s"}
    heir = stage.replica("pod-c", leases=long)
    heir.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
    wait_until("it watches", lambda: stage.api.opened >= 3)
    assert holder.stop() == 0
    after = stage.await_grant(grant)
    assert after.who == "pod-c" and after.first - grant.last < 3 * SLOW
    assert after.token == grant.token + 1
    assert metric(heir, "podvisor_lease_handover_seconds_count") == 1
    assert heir.stop() == 0


def test_the_newest_replica_gets_what_is_handed_over(stage, two):
    holder, other, grant = two
    newest = stage.replica("pod-c")
    newest.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
    for pod in holder, other, newest:
        pod.wait("all take part", lambda: pod.status()["lease_members"] == 3)
    assert holder.stop() == 0
    assert stage.await_grant(grant).who == "pod-c"
    assert newest.stop() == 0


def test_after_the_death_of_a_holder_another_takes_over_in_time(stage, two):
    holder, other, grant = two
    holder.process.kill()
    holder.process.wait()
    after = stage.await_grant(grant)
    assert after.first - last_stamp(stage, grant) < HELD_AGAIN_S + SLOW
    assert after.token == grant.token + 1


def test_a_write_of_somebody_else_between_reading_and_writing_is_a_conflict_and_no_loss(stage, two):
    holder, _, grant = two
    run = holder.worker("one")["run"]
    looks = []

    def look_first(method, name):
        if method == "PUT" and name == OBJECT and len(looks) < 3:
            looks.append(True)
            stage.api.put(OBJECT, lambda o: o["metadata"]["annotations"].update({"looked-at": str(len(looks))}))

    stage.api.fail = look_first
    wait_until("three conflicts were met", lambda: stage.api.asked.count(("PUT", OBJECT, 409)) == 3)
    renewals = holder.status()["leases"][0]["renewals"]
    holder.wait("it is renewed", lambda: holder.status()["leases"][0]["renewals"] > renewals)
    assert held(holder) and holder.worker("one")["run"] == run
    assert stage.newest().token == grant.token
    assert holder.status()["leases"][0]["renewals_failed"] == 0
    assert stage.api.objects[OBJECT]["metadata"]["annotations"]["looked-at"] == "3", "what others wrote is kept"


def test_a_token_that_was_exchanged_is_read_again_and_one_that_is_refused_in_between_costs_nothing(stage, two):
    holder, other, grant = two
    good = stage.api.token
    stage.api.tokens = {"another"}  # as when the API server's keys change before the kubelet has come round
    holder.wait("it is refused", lambda: "answered 401 Unauthorized" in (holder.status()["leases"][0]["trouble"] or ""))
    assert held(holder)
    stage.api.rotate("second-token")
    holder.wait("it is renewed", lambda: holder.status()["leases"][0]["trouble"] is None and held(holder))
    other.wait("it looks", lambda: other.status()["leases"][0]["trouble"] is None)
    assert len(stage.grants()) == 1
    for pod in holder, other:
        assert good not in pod.log_file.read_text()


def test_a_token_that_stays_refused_ends_the_worker_at_its_time_and_nobody_starts(stage, two):
    holder, other, grant = two
    stage.api.tokens = {"another"}
    refused_at = now()
    holder.wait_worker("one", state="standby", pid=None)
    assert last_stamp(stage, grant) - refused_at <= KILL_AT_S + 0.5 * SLOW
    assert other.worker("one")["state"] == "standby"
    stage.api.tokens = {stage.api.token}
    stage.await_grant(grant)


@pytest.mark.parametrize("code", [403, 500])
def test_what_the_server_does_not_allow_is_told(stage, two, code):
    holder, other, grant = two
    stage.api.fail = lambda method, name: code if method == "PUT" and name == OBJECT else None
    said = f"PUT {OBJECT}: the API server answered {code} {'Forbidden' if code == 403 else 'InternalError'}"
    holder.wait("it is told", lambda: holder.status()["leases"][0]["trouble"] == said)
    holder.wait_worker("one", state="standby", pid=None)
    stage.api.fail = lambda method, name: None
    stage.await_grant(grant)


def test_a_server_that_stalls_ends_the_holder_before_another_runs(stage, two):
    """It answers late whatever it was asked: the PUTs that it kept may still take effect."""
    holder, other, grant = two
    with stage.api.stalled():
        stalled_at = now()
        holder.wait_worker("one", state="standby", pid=None)
        assert last_stamp(stage, grant) - stalled_at <= KILL_AT_S + 0.5 * SLOW
        assert other.worker("one")["state"] == "standby"
        assert "does not answer in time" in other.status()["leases"][0]["trouble"]
        assert holder.get("/livez").status == 200 and holder.get("/readyz").status == 200
    stage.await_grant(grant)


def test_a_stall_that_is_over_in_time_costs_nothing(stage, two):
    holder, _, grant = two
    run = holder.worker("one")["run"]
    with stage.api.stalled():
        holder.wait("it fails once", lambda: holder.status()["leases"][0]["renewals_failed"] > 0)
    holder.wait("it is renewed", lambda: holder.status()["leases"][0]["trouble"] is None)
    assert held(holder) and holder.worker("one")["run"] == run and len(stage.grants()) == 1


def test_a_holder_that_is_cut_off_ends_before_another_runs(stage, api):
    """Packets are dropped both ways: the connections that are kept must not be waited on for ever."""
    wire = Wire(api.port)
    cut = stage.replica("pod-cut", wire.port)
    grant = stage.await_grant()
    other = stage.replica("pod-other")
    other.wait_worker("one", state="standby", reason="lease indexer is held by pod-cut")
    wire.cut()
    cut_at = now()
    after = stage.await_grant(grant)
    assert after.who == "pod-other" and last_stamp(stage, grant) - cut_at <= KILL_AT_S + 0.5 * SLOW
    wire.mend()
    cut.wait_worker("one", state="standby", reason="lease indexer is held by pod-other")
    assert [cut.stop(), other.stop()] == [0, 0]
    wire.close()
    stage.assert_one_at_a_time()


def test_a_watch_that_is_cut_or_fell_behind_begins_anew(stage, two):
    holder, other, grant = two
    for last in None, {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}:
        opened = stage.api.opened
        stage.api.cut_watches(last)
        wait_until("both watch again", lambda: stage.api.opened >= opened + 2)
    stage.api.fail = lambda method, name: 410 if name is None else None
    stage.api.cut_watches()
    wait_until("the watch is refused as too old", lambda: (("GET", None, 410)) in stage.api.asked)
    stage.api.fail = lambda method, name: None
    opened = stage.api.opened
    wait_until("both watch again", lambda: stage.api.opened >= opened + 2)
    assert held(holder) and len(stage.grants()) == 1


def test_without_a_watch_a_release_is_found_by_looking(stage, api):
    """And it is told once, why."""
    api.fail = lambda method, name: 403 if name is None else None
    pods = by_name(stage.replica(name) for name in ("pod-a", "pod-b"))
    grant = stage.await_grant()
    heir = next(pod for name, pod in pods.items() if name != grant.who)
    heir.wait_worker("one", state="standby", reason=f"lease indexer is held by {grant.who}")
    assert pods[grant.who].cli("stop", "one", "--no-wait").code == 0
    assert stage.await_grant(grant).who == heir.config["instance"]
    assert len(heir.log(msg="cannot watch the leases: GET leases: the API server answered 403 Forbidden")) == 1
    assert [pod.stop() for pod in pods.values()] == [0, 0]
    stage.assert_one_at_a_time()


def test_an_object_that_is_deleted_ends_its_holder_and_its_successor_repeats_no_token(stage, two):
    """The object that is made in its place is not taken for a term: its holder may still be at work."""
    holder, other, grant = two
    deleted_at = now()
    stage.api.delete(OBJECT)
    after = stage.await_grant(grant)
    assert after.token > grant.token and after.first - deleted_at >= TTL_S - 0.5
    assert holder.status()["leases"][0]["transitions"]["lost"] == 1 or other.status()["leases"][0]["transitions"]["lost"] == 1


def test_an_object_that_is_put_back_from_a_copy_is_believed_by_nobody_for_a_term(stage, two):
    """The copy says that the lease is free, and that it was granted before."""
    holder, other, grant = two
    with stage.api.changed:
        copy = json.loads(json.dumps(stage.api.objects[OBJECT]))
    copy["spec"]["holderIdentity"] = ""
    put_back_at = now()
    with stage.api.changed:
        del stage.api.objects[OBJECT]
        stage.api._post(OBJECT, copy)
    after = stage.await_grant(grant)
    assert after.token > grant.token and after.first - put_back_at >= TTL_S - 0.5


def test_a_pod_outside_of_any_cluster_says_so(podvisor, directory, api):
    pod = podvisor({"leases": {"backend": "kubernetes", "service_account": str(api.account)},
                    "workers": {"one": {"command": ["/bin/sleep", "1000"], "lease": "indexer"}}},
                   env={"KUBERNETES_SERVICE_HOST": "", "KUBERNETES_SERVICE_PORT": ""})
    pod.wait_worker("one", state="standby", reason="lease indexer: no API server is known: KUBERNETES_SERVICE_HOST and "
                    "KUBERNETES_SERVICE_PORT are not set")
    assert pod.get("/readyz").status == 200
    assert pod.stop() == 0


def test_a_server_with_another_certificate_is_not_told_the_token(stage, api, directory):
    """The token goes to nobody but the cluster that the folder names."""
    (api.account / "ca.crt").write_text("")
    pod = stage.replica("pod-a")
    pod.wait("it is told", lambda: "GET podvisor.indexer: " in (pod.status()["leases"][0]["trouble"] or ""))
    assert api.asked == []
    assert pod.stop() == 0


def test_a_folder_without_a_token_is_told(stage, api):
    (api.account / "token").unlink()
    pod = stage.replica("pod-a")
    pod.wait_worker("one", state="standby", reason=f"lease indexer: cannot read {api.account}/token: No such file or directory")
    assert pod.stop() == 0


def test_instances_are_shared_evenly_over_replicas(podvisor, directory, api):
    script = STAMP.replace("sys.argv[1]", "sys.argv[1] + os.environ['PODVISOR_LEASE'].partition('/')[2]")
    stages = [ObjectStage(None, directory, api) for _ in range(6)]
    for i, one in enumerate(stages):
        one.stamps = one.stamps.with_name(f"stamps{i}")
        one.stamps.touch()

    def replica(name):
        one = ObjectStage(podvisor, directory, api)
        return one.replica(name, command=[PYTHON, "-c", script, str(one.stamps)], instances=6, lease={"name": "shard", "spread": True})

    def share(pod):
        return sum(lease["held"] for lease in pod.status()["leases"])

    pods = [replica("pod-0"), replica("pod-1")]
    wait_until("each has three", lambda: [share(pod) for pod in pods] == [3, 3], 60)
    pods.append(replica("pod-2"))
    wait_until("each has two", lambda: [share(pod) for pod in pods] == [2, 2, 2], 60)
    assert pods.pop(0).stop() == 0
    wait_until("each has three again", lambda: [share(pod) for pod in pods] == [3, 3], 60)
    assert "podvisor.shard.5" in api.objects
    assert [pod.stop() for pod in pods] == [0, 0]
    for one in stages:
        one.assert_one_at_a_time()
