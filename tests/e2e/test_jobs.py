"""Jobs: runs on a schedule, what becomes of one while the run before goes on, and what people see and ask."""
import datetime
import json
import os
import pathlib
import re
import signal
import zoneinfo

import pytest

import podvisor as library

UTC = datetime.timezone.utc
SLEEP = ["sh", "-c", "exec sleep 1000"]


def job(command, **keys):
    return {"command": command, "kind": "job", **keys}


def sh(script):
    return ["sh", "-c", script]


def lines(pod, name):
    """What a job has written into a file of its own."""
    path = pod.dir / name
    return path.read_text().splitlines() if path.exists() else []


def report(pod):
    return pod.worker("report")


# ---- when ----

def test_an_interval_runs_again_and_again_and_never_twice_at_once(podvisor):
    # The directory is the lock: whoever finds it there is the second at a time.
    pod = podvisor({"workers": {"report": job(
        sh("mkdir own 2>/dev/null || echo twice >> runs; echo run >> runs; sleep 0.05; rmdir own"), every="100ms", overlap="queue")}})
    pod.wait("ten runs", lambda: lines(pod, "runs").count("run") >= 10)
    assert "twice" not in lines(pod, "runs")
    seen = report(pod)
    assert seen["last_result"] == "succeeded" and seen["exits"]["failed"] == 0
    assert pod.stop() == 0


def test_it_waits_for_its_time_and_says_when_that_is(podvisor):
    pod = podvisor({"workers": {"report": job(["true"], every="2h"), "never": job(["true"], schedule="0 0 29 feb *")}})
    seen = pod.wait_worker("report", state="waiting")
    assert re.fullmatch(r"next run at \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ \(in (1h59m|2h)\)", seen["reason"]), seen
    assert seen["last_result"] is None and seen["missed_runs"] == 0 and seen["missed_runs_by_reason"] == {}
    due = datetime.datetime.fromisoformat(seen["next_run"])
    assert abs(due - datetime.datetime.now(UTC) - datetime.timedelta(hours=2)) < datetime.timedelta(minutes=2)
    assert pod.worker("never")["next_run"][4:] == "-02-29T00:00:00.000Z"
    shown = pod.cli("status")
    assert re.search(r"^report +waiting .*next run at .*Z \(in (1h59m|2h)\)", shown.out, re.M), shown
    metrics = pod.get("/metrics").text
    shown = re.search(r'^podvisor_worker_next_run_timestamp_seconds{worker="report"} (.*)', metrics, re.M)
    assert abs(float(shown[1]) - due.timestamp()) < 2, shown
    assert 'podvisor_worker_missed_runs_total{worker="report",reason="overlap"} 0' in metrics
    assert pod.stop() == 0


def next_on_the_wall(zone, fits, now):
    """The first minute after now at which the clock shows what fits, or first shows something later: by Python's zones."""
    def shown(at):
        return at.astimezone(zone).replace(tzinfo=None)
    minute = datetime.timedelta(minutes=1)
    at = now.replace(second=0, microsecond=0)
    latest = max(shown(at - i * minute) for i in range(60 * 30))
    while True:
        at += minute
        while latest < shown(at):
            latest += minute
            if fits(latest):
                return at


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago", "UTC"])
def test_the_next_run_of_a_cron_expression_is_what_the_zone_says(podvisor, zone):
    pod = podvisor({"workers": {
        "report": job(["true"], schedule="30 2 * * *", timezone=zone),
        "weekly": job(["true"], schedule="15 14 * * mon", timezone=zone)}})
    zone = zoneinfo.ZoneInfo(zone)
    for name, fits in (("report", lambda t: (t.hour, t.minute) == (2, 30)),
                       ("weekly", lambda t: (t.hour, t.minute, t.weekday()) == (14, 15, 0))):
        wanted = [next_on_the_wall(zone, fits, datetime.datetime.now(UTC))]
        seen = pod.wait_worker(name, state="waiting")
        wanted.append(next_on_the_wall(zone, fits, datetime.datetime.now(UTC)))  # a minute may have passed meanwhile
        assert datetime.datetime.fromisoformat(seen["next_run"]) in wanted
    assert pod.stop() == 0


# ---- how a run ends ----

def test_a_run_that_fails_is_told_and_the_next_one_may_succeed(podvisor):
    pod = podvisor({"workers": {"report": job(sh("[ -e own-cure ] || exit 3"), every="300ms")}})
    pod.wait_log(worker="report", msg="its run failed: exited with code 3 (exit)", level="warn")
    assert pod.wait_worker("report", last_result="failed")
    (pod.dir / "own-cure").touch()
    assert pod.wait_worker("report", last_result="succeeded", state="waiting")
    assert "last run: exited with code 0" in report(pod)["reason"]
    assert 'podvisor_worker_last_success_timestamp_seconds{worker="report"}' in pod.get("/metrics").text
    assert pod.stop() == 0


def test_on_failure_a_run_is_tried_again_long_before_its_next_time(podvisor):
    pod = podvisor({"workers": {"report": job(
        sh("echo try >> tries; [ $(wc -l < tries) -ge 4 ]"), every="1h",
        restart={"policy": "on-failure", "backoff": {"initial": "1ms", "max": "20ms"}})}})
    pod.wait_worker("report", state="waiting")
    assert pod.cli("start", "report").code == 0
    assert len(lines(pod, "tries")) == 4
    assert report(pod)["restarts_by_reason"] == {"exit": 3}
    assert pod.stop() == 0


def test_beyond_its_deadline_a_run_ends_with_all_that_it_started(podvisor):
    pod = podvisor({"workers": {"report": job(
        sh("trap '' TERM; setsid sleep 1000 & setsid sh -c 'trap \"\" TERM; sleep 1000' & wait"),
        every="1h", deadline="300ms", stop={"timeout": "200ms"})}})
    pod.wait_worker("report", state="waiting")
    done = pod.cli("start", "report")
    assert done.code == 1 and "killed by SIGKILL (deadline)" in done.out, done
    assert pod.processes() == []
    run = pod.ask("GET", "/api/v1/workers/report").json()["workers"][0]["runs"][0]
    assert run["cause"] == "deadline" and report(pod)["last_result"] == "failed"
    assert pod.log(worker="report", msg="it runs longer than its deadline of 300ms")
    assert pod.stop() == 0


# ---- overlap ----

def test_skip_leaves_out_what_is_due_while_a_run_goes_on(podvisor):
    pod = podvisor({"workers": {"report": job(SLEEP, every="100ms")}})
    first = pod.wait_worker("report", state="running")
    pod.wait("three missed runs", lambda: report(pod)["missed_runs_by_reason"].get("overlap", 0) >= 3)
    assert report(pod)["pid"] == first["pid"]
    assert pod.events(what="missed", subject="report", text="1 run left out: the run before still goes on")
    assert pod.stop() == 0


def test_queue_runs_one_that_was_due_as_soon_as_the_run_before_is_over(podvisor):
    pod = podvisor({"workers": {"report": job(
        sh("echo $$ >> runs; [ $(wc -l < runs) -gt 1 ] || while [ ! -e own-go ]; do sleep 0.01; done"), every="1s", overlap="queue")}})
    pod.wait_log(worker="report", msg="a run waits until the run before is over")
    pod.wait("one that is missed", lambda: report(pod)["missed_runs_by_reason"].get("overlap", 0) >= 1)
    (pod.dir / "own-go").touch()
    queued = pod.wait("the queued run", lambda: len(lines(pod, "runs")) >= 2)
    assert queued
    assert pod.stop() == 0


def test_replace_stops_the_old_run_in_order_before_the_next_begins(podvisor):
    pod = podvisor({"workers": {"report": job(
        sh("trap 'sleep 0.05; echo end $$ >> runs; exit 0' TERM; echo begin $$ >> runs; while :; do sleep 0.01; done"),
        every="1s", overlap="replace")}})
    pod.wait("three runs", lambda: len([line for line in lines(pod, "runs") if line.startswith("begin")]) >= 3)
    seen = lines(pod, "runs")
    for begin, end in zip(seen[0:4:2], seen[1:4:2]):
        assert (begin.split()[0], end.split()[0]) == ("begin", "end") and begin.split()[1] == end.split()[1], seen
    assert report(pod)["last_result"] is None  # what was replaced has neither succeeded nor failed
    assert pod.stop() == 0


# ---- what it depends on, and readiness ----

def test_one_run_waits_for_what_the_job_depends_on(podvisor):
    pod = podvisor({"workers": {
        "api": {"command": SLEEP, "readiness": {"exec": ["test", "-e", "own-ready"], "interval": "20ms", "timeout": "5s"}},
        "report": job(["true"], every="150ms", depends_on=["api"])}})
    pod.wait("a run that waits", lambda: report(pod)["missed_runs_by_reason"].get("waiting", 0) >= 2)
    assert report(pod)["reason"] == "worker:api is running" and report(pod)["exits"]["ok"] == 0
    (pod.dir / "own-ready").touch()
    pod.wait_worker("report", last_result="succeeded")
    assert pod.stop() == 0


def test_a_job_is_no_part_of_readiness_unless_it_is_critical_and_failed(podvisor):
    pod = podvisor({"workers": {"report": job(sh("[ -e own-cure ]"), every="1h", critical=True), "other": job(["false"], every="100ms")}})
    pod.wait_worker("other", last_result="failed")
    assert pod.ask("GET", "/readyz").status == 200
    assert pod.cli("start", "report").code == 1
    answer = pod.ask("GET", "/readyz")
    assert answer.status == 503 and "[-]worker:report failed: waiting: next run at" in answer.text
    (pod.dir / "own-cure").touch()
    assert pod.cli("start", "report").code == 0
    assert pod.ask("GET", "/readyz").status == 200
    assert pod.stop() == 0


# ---- what people ask ----

def test_start_runs_it_now_and_tells_how_it_went(podvisor):
    pod = podvisor({"workers": {"report": job(sh("echo run >> runs; sleep 0.1; exit $(cat own-code)"), schedule="0 0 29 feb *")}})
    pod.wait_worker("report", state="waiting")
    for code, wanted in (("0", 0), ("7", 1)):
        (pod.dir / "own-code").write_text(code)
        done = pod.cli("start", "report")
        assert done.code == wanted and f"last run: exited with code {code}" in done.out, done
    assert len(lines(pod, "runs")) == 2
    assert report(pod)["missed_runs"] == 0
    assert pod.stop() == 0


def test_start_of_a_job_that_runs_waits_for_that_run(podvisor):
    pod = podvisor({"workers": {"report": job(sh("echo run >> runs; while [ ! -e own-go ]; do sleep 0.01; done"), every="1h")}})
    pod.wait_worker("report", state="waiting")
    assert pod.cli("start", "report", "--no-wait").code == 0
    pod.wait("its run", lambda: lines(pod, "runs"))
    answer = pod.ask("POST", "/api/v1/workers/report/start?wait=1")
    assert answer.status == 202 and answer.json()["done"] is False
    (pod.dir / "own-go").touch()
    assert pod.ask("POST", "/api/v1/workers/report/start?wait=20").json()["done"] is True
    pod.wait_worker("report", state="waiting")
    assert pod.stop() == 0


def test_stop_ends_its_run_and_rests_its_schedule_until_it_is_started(podvisor):
    pod = podvisor({"workers": {"report": job(sh("echo run >> runs; exec sleep 1000"), every="200ms"), "clock": job(["true"], every="200ms")}})
    pod.wait_worker("report", state="running")
    assert pod.cli("stop", "report").code == 0
    seen = report(pod)
    assert seen["state"] == "stopped" and seen["next_run"] is None and seen["last_result"] is None
    runs = pod.worker("clock")["exits"]["ok"]
    pod.wait("five runs of another", lambda: pod.worker("clock")["exits"]["ok"] >= runs + 5)
    assert len(lines(pod, "runs")) == 1
    assert pod.cli("start", "report", "--no-wait").code == 0
    pod.wait("its second run", lambda: len(lines(pod, "runs")) == 2)
    assert pod.stop() == 0


def test_another_schedule_takes_effect_at_once_without_a_run(podvisor):
    pod = podvisor({"workers": {"report": job(sh("echo run >> runs"), schedule="0 0 29 feb *")}})
    before = pod.wait_worker("report", state="waiting")["next_run"]
    pod.config["workers"]["report"]["schedule"] = "0 0 1 jan *"
    pod.write_config(pod.config)
    dry = pod.cli("reload", "--dry-run")
    assert dry.code == 0 and dry.out == '~ worker report: schedule 0 0 29 feb * -> 0 0 1 jan *; from its next run on\n', dry
    pod.send(signal.SIGHUP)
    pod.wait("another next run", lambda: report(pod)["next_run"] not in (before, None))
    assert report(pod)["next_run"][4:] == "-01-01T00:00:00.000Z"
    assert lines(pod, "runs") == []
    assert pod.stop() == 0


def test_a_reload_lets_a_run_go_on(podvisor):
    pod = podvisor({"workers": {"report": job(SLEEP, every="1h")}})
    pod.wait_worker("report", state="waiting")
    assert pod.cli("start", "report", "--no-wait").code == 0
    pid = pod.wait_worker("report", state="running")["pid"]
    pod.config["workers"]["report"].update(every="2h", command=["true"])
    pod.write_config(pod.config)
    assert pod.cli("reload").code == 0
    pod.wait("two hours", lambda: report(pod)["next_run"])
    assert (report(pod)["state"], report(pod)["pid"]) == ("running", pid)
    assert pod.stop() == 0


# ---- configuration ----

def check(directory, keys, **env):
    path = pathlib.Path(directory) / "podvisor.json"
    path.write_text(json.dumps({"workers": {"report": job(["true"], **keys)}}))
    return library.cli("check", "-c", path, env=env)


def test_a_zone_that_is_not_there_is_refused_with_what_to_install(directory):
    os.mkdir(f"{directory}/zones")
    zones = {"TZDIR": f"{directory}/zones"}
    refused = check(directory, {"schedule": "@daily", "timezone": "Europe/Berlin"}, **zones)
    assert refused.code == 78
    assert refused.err.startswith(f'{directory}/podvisor.json:1:') and \
        f'workers.report.timezone: "Europe/Berlin" is not there: {directory}/zones/Europe/Berlin: No such file or directory' in refused.err
    assert "install tzdata" in refused.err
    assert check(directory, {"schedule": "@daily", "timezone": "UTC"}, **zones).code == 0
    assert check(directory, {"schedule": "@daily", "timezone": "Europe/Berlin"}).code == 0


def test_what_is_no_zone_is_refused_and_no_name_leads_out_of_their_directory(directory):
    os.mkdir(f"{directory}/zones")
    pathlib.Path(f"{directory}/zones/Text").write_text("no zone")
    pathlib.Path(f"{directory}/secret").write_text("hunter2")
    for name, wanted in (("Text", '"Text" is no time zone: is no TZif file'), ("../secret", '"../secret" does not fit'),
                         (f"{directory}/secret", "does not fit"), (".", '"." does not fit'), ("Europe", '"Europe" is not there')):
        refused = check(directory, {"schedule": "@daily", "timezone": name}, **({"TZDIR": f"{directory}/zones"} if name != "Europe" else {}))
        assert refused.code == 78 and wanted in refused.err and "hunter2" not in refused.err, refused


def test_a_wrong_expression_is_told_with_its_place(directory):
    refused = check(directory, {"schedule": "0 0 * * mon-fir"})
    assert refused.code == 78
    assert 'workers.report.schedule: "0 0 * * mon-fir" is wrong at character 13: this is no day of the week' in refused.err


def test_the_effective_configuration_has_a_jobs_own_defaults(directory):
    assert check(directory, {"schedule": "@daily"}).code == 0
    printed = library.cli("check", "-c", f"{directory}/podvisor.json", "--print")
    effective = json.loads(printed.out)["workers"]["report"]
    assert (effective["schedule"], effective["timezone"], effective["overlap"]) == ("@daily", "UTC", "skip")
    assert effective["restart"]["policy"] == "never"
