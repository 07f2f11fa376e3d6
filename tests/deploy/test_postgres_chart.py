"""charts/postgres as it is rendered; test_restore.py runs its scripts."""
import pytest

import charts
from charts import HELMS, at, refusal, rendered

BUCKET = {"endpoint": "https://fra1.digitaloceanspaces.com", "region": "fra1", "bucket": "dumps"}
GIVEN = {"backup": BUCKET}
POD = ("spec", "template", "spec")
POSTGRES = (*POD, "containers", 0)

FACTS = [
    ("one server", "StatefulSet", "postgres", ("spec", "replicas"), 1),
    ("its volume stays", "StatefulSet", "postgres", ("spec", "persistentVolumeClaimRetentionPolicy"), {"whenDeleted": "Retain", "whenScaled": "Retain"}),
    ("checksums and SCRAM from the start", "StatefulSet", "postgres", (*POSTGRES, "env", {"name": "POSTGRES_INITDB_ARGS"}, "value"),
     "--data-checksums --auth-host=scram-sha-256 --auth-local=scram-sha-256"),
    ("SCRAM for who comes", "StatefulSet", "postgres", (*POSTGRES, "env", {"name": "POSTGRES_HOST_AUTH_METHOD"}, "value"), "scram-sha-256"),
    ("passwords are files", "StatefulSet", "postgres", (*POD, "volumes", {"name": "secrets"}, "secret", "secretName"), "postgres-app"),
    ("time for a checkpoint", "StatefulSet", "postgres", (*POD, "terminationGracePeriodSeconds"), 120),
    ("room", "StatefulSet", "postgres", ("spec", "volumeClaimTemplates", 0, "spec", "resources", "requests", "storage"), "20Gi"),
    ("a dump each night", "CronJob", "postgres-dump", ("spec", "schedule"), "17 3 * * *"),
    ("one at a time", "CronJob", "postgres-dump", ("spec", "concurrencyPolicy"), "Forbid"),
    ("the database has nobody to call", "NetworkPolicy", "postgres", ("spec", "egress"), []),
]


@pytest.mark.parametrize("helm", HELMS)
def test_what_is_promised_of_the_server_is_rendered(helm):
    found = rendered(helm, "postgres", values=GIVEN)
    for fact, kind, name, path, expected in FACTS:
        assert at(found[kind, name], *path) == expected, fact


@pytest.mark.parametrize("helm", HELMS)
def test_it_is_postgresql_16_by_digest(helm):
    image = at(rendered(helm, "postgres", values=GIVEN)["StatefulSet", "postgres"], *POSTGRES, "image")
    name, digest = image.split("@")
    assert name.startswith("docker.io/library/postgres:16.") and len(digest) == len("sha256:") + 64


def test_no_secret_stands_in_an_argument_or_a_value():
    for document in rendered("helm4", "postgres", values=GIVEN).values():
        for name in "PGPASSWORD", "SECRET_KEY", "ACCESS_KEY":
            for env in [e for e in variables(document) if e["name"] == name]:
                assert "value" not in env and env["valueFrom"]["secretKeyRef"]["name"] in ("postgres-app", "postgres-backup")


def variables(document):
    if isinstance(document, dict):
        yield from document.get("env") or []
        for value in document.values():
            yield from variables(value)
    elif isinstance(document, list):
        for item in document:
            yield from variables(item)


def test_an_upgrade_touches_neither_the_claim_nor_the_selector():
    """Kubernetes refuses to change these, and a changed claim would be a new, empty volume."""
    old = rendered("helm4", "postgres", values=GIVEN)["StatefulSet", "postgres"]["spec"]
    new = rendered("helm4", "postgres", values={**GIVEN, "image": {"version": "16.11", "digest": charts.DIGEST}, "settings": {"work_mem": "8MB"},
                                                "resources": {"limits": {"memory": "2Gi"}}})["StatefulSet", "postgres"]["spec"]
    for field in "volumeClaimTemplates", "selector", "serviceName", "persistentVolumeClaimRetentionPolicy":
        assert old[field] == new[field]
    assert at(old, "template", "spec", "containers", 0, "env", {"name": "PGDATA"}) == at(new, "template", "spec", "containers", 0, "env", {"name": "PGDATA"})
    assert "work_mem=8MB" in at(new, "template", "spec", "containers", 0, "args")


def test_scripts_run_as_they_are_tested():
    found = rendered("helm4", "postgres", values={**GIVEN, "restore": {"enabled": True, "object": "postgres/app-1.dump"}})
    scripts = found["ConfigMap", "postgres-scripts"]["data"]
    for name in "init", "dump", "upload", "download", "restore":
        assert scripts[name] == (charts.CHARTS / "postgres/files" / name).read_text()
    dump = at(found["CronJob", "postgres-dump"], "spec", "jobTemplate", "spec", "template", "spec")
    assert dump["initContainers"][0]["command"] == ["/bin/bash", "/scripts/dump"]
    assert dump["containers"][0]["command"] == ["/bin/sh", "/scripts/upload"]
    job = next(document for (kind, name), document in found.items() if kind == "Job")
    assert job["spec"]["backoffLimit"] == 0
    assert at(job, *POD, "initContainers", 0, "command") == ["/bin/sh", "/scripts/download"]
    assert at(job, *POD, "containers", 0, "command") == ["/bin/bash", "/scripts/restore"]


def test_each_restore_is_a_job_of_its_own():
    def name(dump):
        return [n for k, n in rendered("helm4", "postgres", values={**GIVEN, "restore": {"enabled": True, "object": dump}}) if k == "Job"]

    assert len(name("postgres/app-1.dump")) == 1
    assert name("postgres/app-1.dump") != name("postgres/app-2.dump")


def test_the_network_lets_the_backend_and_the_jobs_in():
    found = rendered("helm4", "postgres", values=GIVEN)
    rule = at(found["NetworkPolicy", "postgres"], "spec", "ingress", 0)
    backend = rendered("helm4", "backend", "values-prod.yaml", values={"image": {"digest": charts.DIGEST}})
    labels = at(backend["Deployment", "backend"], "spec", "template", "metadata", "labels")
    job = at(found["CronJob", "postgres-dump"], "spec", "jobTemplate", "spec", "template", "metadata", "labels")
    allowed = [source["podSelector"]["matchLabels"] for source in rule["from"]]
    assert any(selector.items() <= labels.items() for selector in allowed)
    assert any(selector.items() <= job.items() for selector in allowed)
    server = at(found["StatefulSet", "postgres"], "spec", "template", "metadata", "labels")
    out = at(backend["NetworkPolicy", "backend"], "spec", "egress", 1, "to", 0, "podSelector", "matchLabels")
    assert out.items() <= server.items(), "what the backend's policy lets out is what stands here"
    jobs = found["NetworkPolicy", "postgres-jobs"]["spec"]
    assert jobs["podSelector"]["matchLabels"].items() <= job.items() and not jobs["podSelector"]["matchLabels"].items() <= server.items()


def test_cloudnative_pg_takes_the_servers_place():
    image = f"ghcr.io/cloudnative-pg/postgresql:16@{charts.DIGEST}"
    found = rendered("helm4", "postgres", values={**GIVEN, "mode": "cnpg", "cnpg": {"image": image}})
    assert {kind for kind, _ in found} == {"Cluster", "ObjectStore", "ScheduledBackup"}
    cluster, backup = found["Cluster", "postgres"], found["ScheduledBackup", "postgres"]["spec"]
    assert cluster["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert cluster["spec"]["imageName"] == image
    assert at(cluster, "spec", "bootstrap", "initdb") == {"database": "app", "owner": "app", "dataChecksums": True}
    assert at(cluster, "spec", "inheritedMetadata", "labels") == {"app.kubernetes.io/name": "postgres"}
    assert at(cluster, "spec", "plugins", 0, "parameters", "barmanObjectName") == found["ObjectStore", "postgres"]["metadata"]["name"]
    assert backup["schedule"] == "0 17 3 * * *" and backup["method"] == "plugin"


def test_a_server_elsewhere_is_dumped_too():
    found = rendered("helm4", "postgres", values={**GIVEN, "mode": "external", "external": {"host": "db.example.org", "port": 25060}})
    assert "StatefulSet" not in {kind for kind, _ in found}
    env = at(found["CronJob", "postgres-dump"], "spec", "jobTemplate", "spec", "template", "spec", "initContainers", 0, "env")
    assert at(env, {"name": "PGHOST"}, "value") == "db.example.org" and at(env, {"name": "PGPORT"}, "value") == "25060"
    assert at(env, {"name": "PGSSLMODE"}, "value") == "require"


MISTAKES = {
    "a tag in place of a digest": ({"image": {"digest": "16"}}, "image.digest: \"16\" is no digest"),
    "another major version": ({"image": {"version": "17.1"}}, "image.version: \"17.1\" is not PostgreSQL 16"),
    "no secret": ({"auth": {"secret": ""}}, "auth.secret: name the Secret with the keys username, password"),
    "no server": ({"mode": "external"}, "external.host: in mode external name the server"),
    "an operator without an image": ({"mode": "cnpg"}, "cnpg.image: give the operator's PostgreSQL 16 image by digest"),
    "no place for dumps": ({"backup": {**BUCKET, "bucket": ""}}, "backup.bucket: dumps need an object store; set it, or set backup.enabled to false"),
    "a restore of nothing": ({"restore": {"enabled": True}}, "restore.object: name the dump in the bucket"),
    "a restore beside the operator": ({"mode": "cnpg", "cnpg": {"image": "a/b@" + charts.DIGEST}, "restore": {"enabled": True, "object": "a.dump"}},
                                      "restore: in mode cnpg the operator restores"),
    "fsync off": ({"settings": {"fsync": "off"}}, "settings.fsync: is the chart's to set; take it out"),
    "a key misspelt": ({"storge": {}}, "storge"),
    "a mode that is none": ({"mode": "rds"}, "/mode"),
    "a schedule of six fields": ({"backup": {**BUCKET, "schedule": "0 0 3 * * *"}}, "/backup/schedule"),
    "a database with a blank": ({"auth": {"database": "my app"}}, "/auth/database"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("helm", HELMS)
def test_a_mistake_is_refused_with_what_to_do(helm, mistake):
    values, sentence = MISTAKES[mistake]
    assert sentence in refusal(helm, "postgres", {**GIVEN, **values})
