"""charts/backend: alerts and dashboard speak of metrics that podvisor has, and the alerts fire when they should."""
import json
import re
import subprocess

import pytest
import yaml

import charts
from charts import ROOT, at, rendered

RULES = ROOT / "charts/backend/files/rules.yaml"
VALUES = {"image": {"digest": charts.DIGEST},
          "monitoring": {"podMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboard": {"enabled": True}}}
SUFFIXES = {"COUNTER": ["_total"], "GAUGE": [""], "HISTOGRAM": ["_bucket", "_sum", "_count"], "OPENMETRICS_INFO": ["_info"]}


def metrics():
    """Every name that podvisor's table of metrics can bring into a scrape, with the type's suffixes."""
    table = (ROOT / "supervisor/control/metrics.c").read_text()
    rows = re.findall(r'\{\s*"(podvisor_[a-z_]+)",\s*([A-Z_]+),', table)
    assert len(rows) > 70, "the table of metrics is no longer found"
    return {name + suffix for name, kind in rows for suffix in SUFFIXES[kind]}


def named(expression):
    return set(re.findall(r"\bpodvisor_[a-z_]+\b", expression))


def alerts():
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels():
    found = rendered("helm4", "backend", "values-prod.yaml", values=VALUES)
    return json.loads(found["ConfigMap", "backend-dashboard"]["data"]["podvisor.json"])["panels"]


def test_every_metric_of_an_alert_exists():
    for rule in alerts():
        assert named(rule["expr"]) and named(rule["expr"]) <= metrics(), rule["alert"]


def test_every_metric_of_the_dashboard_exists():
    for panel in panels():
        for target in panel["targets"]:
            assert named(target["expr"]) and named(target["expr"]) <= metrics(), panel["title"]


def test_the_rules_reach_the_cluster_as_they_are():
    found = rendered("helm4", "backend", "values-prod.yaml", values=VALUES)
    assert found["PrometheusRule", "backend"]["spec"] == yaml.safe_load(RULES.read_text())
    monitor = found["PodMonitor", "backend"]["spec"]
    assert monitor["podMetricsEndpoints"] == [{"port": "control", "path": "/metrics", "interval": "15s"}]
    assert monitor["selector"]["matchLabels"].items() <= at(found["Deployment", "backend"], "spec", "template", "metadata", "labels").items()
    assert found["ConfigMap", "backend-dashboard"]["metadata"]["labels"]["grafana_dashboard"] == "1"


# alert: (the series it is about, what Prometheus has seen of them a minute, when it fires, what it may be mistaken for)
FIRES = {
    "PodvisorNotReady": ({"podvisor_ready{pod='a'}": "0x20"}, "10m"),
    "PodvisorWorkerFailed": ({"podvisor_worker_state{pod='a',worker='w',state='failed'}": "1x20"}, "5m"),
    "PodvisorWorkerRestarts": ({"podvisor_worker_restarts_total{pod='a',worker='w',reason='exit'}": "0+1x30"}, "20m"),
    "PodvisorBrowserDown": ({"podvisor_browser_up{pod='a',browser='b'}": "0x20"}, "10m"),
    "PodvisorBrowserCrashLoop": ({"podvisor_browser_recycles_total{pod='a',browser='b',reason='crashed'}": "0+1x40"}, "30m"),
    "PodvisorRamDiskFull": ({"podvisor_volume_used_bytes{pod='a',volume='v'}": "95x20", "podvisor_volume_size_bytes{pod='a',volume='v'}": "100x20"}, "10m"),
    "PodvisorMemoryNearLimit": ({"podvisor_memory_used_bytes{pod='a'}": "96x20", "podvisor_memory_limit_bytes{pod='a'}": "100x20"}, "5m"),
    "PodvisorOutOfMemory": ({"podvisor_memory_oom_kills_total{pod='a'}": "0x3 1x20"}, "8m"),
    "PodvisorPostgresDown": ({"podvisor_postgres_up{pod='a',database='main'}": "0x20"}, "5m"),
    "PodvisorLeaseNotHeld": ({"podvisor_lease_held{pod='a',lease='l'}": "0x20", "podvisor_lease_held{pod='b',lease='l'}": "0x20"}, "5m"),
    "PodvisorLeaseHeldTwice": ({"podvisor_lease_held{pod='a',lease='l'}": "1x20", "podvisor_lease_held{pod='b',lease='l'}": "1x20"}, "5m"),
    "PodvisorDrainUnclean": ({"podvisor_drain_websockets_closed_total{pod='a',result='unclean_mid_frame'}": "0x3 2x20"}, "8m"),
    "PodvisorDrainOverrun": ({"podvisor_drain_state{pod='a',state='draining'}": "1x20"}, "5m"),
    "PodvisorLoopLag": ({"podvisor_loop_lag_seconds_bucket{pod='a',le='0.25'}": "0+1x40", "podvisor_loop_lag_seconds_bucket{pod='a',le='1'}": "0+60x40",
                         "podvisor_loop_lag_seconds_bucket{pod='a',le='+Inf'}": "0+60x40"}, "30m"),
    "PodvisorLogDropped": ({"podvisor_worker_log_dropped_lines_total{pod='a',worker='w',reason='rate'}": "0+5x20"}, "8m"),
}
WELL = {
    "podvisor_ready{pod='a'}": "1x40", "podvisor_worker_state{pod='a',worker='w',state='failed'}": "0x40",
    "podvisor_worker_restarts_total{pod='a',worker='w',reason='exit'}": "3x40", "podvisor_browser_up{pod='a',browser='b'}": "1x40",
    "podvisor_browser_recycles_total{pod='a',browser='b',reason='crashed'}": "1x40", "podvisor_browser_recycles_total{pod='a',browser='b',reason='age'}": "0+1x40",
    "podvisor_volume_used_bytes{pod='a',volume='v'}": "85x40", "podvisor_volume_size_bytes{pod='a',volume='v'}": "100x40",
    "podvisor_memory_used_bytes{pod='a'}": "90x40", "podvisor_memory_limit_bytes{pod='a'}": "100x40", "podvisor_memory_oom_kills_total{pod='a'}": "1x40",
    "podvisor_postgres_up{pod='a',database='main'}": "1x40", "podvisor_lease_held{pod='a',lease='l'}": "1x40", "podvisor_lease_held{pod='b',lease='l'}": "0x40",
    "podvisor_drain_websockets_closed_total{pod='a',result='clean'}": "0+9x40", "podvisor_drain_state{pod='a',state='draining'}": "0x40",
    "podvisor_worker_log_dropped_lines_total{pod='a',worker='w',reason='rate'}": "5x40",
}


def promtool(*words, cwd=None):
    return subprocess.run([charts.tool("promtool"), *map(str, words)], capture_output=True, text=True, check=False, timeout=60, cwd=cwd)


def test_prometheus_takes_the_rules():
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert {rule["alert"] for rule in alerts()} == set(FIRES), "an alert has no test, or a test no alert"


def scenario(series, when, firing):
    """One test of promtool: of all alerts exactly those of `firing` fire. What they say is not asked for here."""
    checks = [{"expr": f'count(ALERTS{{alertname="{name}", alertstate="firing"}}) > bool 0 or vector(0)', "eval_time": when,
               "exp_samples": [{"labels": "{}", "value": int(name in firing)}]} for name in FIRES]
    return {"interval": "1m", "input_series": [{"series": name.replace("'", '"'), "values": values} for name, values in series.items()],
            "promql_expr_test": checks}


def test_each_alert_fires_for_its_reason_and_for_no_other(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES.read_text())
    tests = [scenario(series, when, {name}) for name, (series, when) in FIRES.items()] + [scenario(WELL, "35m", set())]
    (tmp_path / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": tests}))
    done = promtool("test", "rules", "test.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_alert_says_what_to_do():
    for rule in alerts():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"] and rule["annotations"]["description"].endswith(".")
