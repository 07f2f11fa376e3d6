"""Everything that the charts render is what Kubernetes takes: its own schemas, strict, for the oldest and a new version."""
import json
import subprocess

import pytest

import charts
from charts import rendered

BACKEND = {"image": {"digest": charts.DIGEST}}
BUCKET = {"endpoint": "https://fra1.digitaloceanspaces.com", "region": "fra1", "bucket": "dumps"}
MONITORED = {"podMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboard": {"enabled": True}}
CNPG = {"mode": "cnpg", "backup": BUCKET, "cnpg": {"image": f"ghcr.io/cloudnative-pg/postgresql:16@{charts.DIGEST}"}}
RENDERINGS = {
    "backend, stage": ("backend", ("values-stage.yaml",), {**BACKEND, "monitoring": MONITORED}),
    "backend, prod, gateway": ("backend", ("values-prod.yaml",), {**BACKEND, "replicaCount": 3, "routing": {"mode": "gateway"}, "env": {"A": "b"},
                                                                 "nodeSelector": {"pool": "b"}, "tolerations": [{"operator": "Exists"}],
                                                                 "secrets": {"external": {"enabled": True, "store": {"name": "v"}, "key": "k"}}}),
    "postgres": ("postgres", (), {"backup": BUCKET, "restore": {"enabled": True, "object": "postgres/app-20260101T031700Z.dump"}}),
    "postgres, cnpg": ("postgres", (), CNPG),
    "postgres, external": ("postgres", (), {"mode": "external", "external": {"host": "db.example.org"}, "backup": BUCKET}),
    "platform": ("platform", (), {"email": "a@example.org"}),
    "platform, gateway": ("platform", (), {"email": "a@example.org", "solver": "gateway", "gateway": {"enabled": True}}),
}
OURS = {"v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1"}


def validate(documents, version, directory):
    """kubernetes-validate's word on each document, with the schemas that it ships."""
    files = []
    for i, document in enumerate(documents):
        files.append(directory / f"{i}-{document['kind']}.json")
        files[-1].write_text(json.dumps(document))
    return subprocess.run([charts.tool("kubernetes-validate"), "--strict", "--no-warn", "-k", version, *map(str, files)],
                          capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", RENDERINGS)
def test_kubernetes_takes_what_is_rendered(name, tmp_path):
    chart, files, values = RENDERINGS[name]
    documents = [d for d in rendered("helm4", chart, *files, values=values).values() if d["apiVersion"] in OURS]
    for version in ("1.30", "1.37") if documents else ():
        done = validate(documents, version, tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_field_that_kubernetes_does_not_know_is_found(tmp_path):
    """Or the test above would be worth nothing."""
    deployment = json.loads(json.dumps(rendered("helm4", "backend", "values-prod.yaml", values=BACKEND)["Deployment", "backend"]))
    deployment["spec"]["template"]["spec"]["terminationGracePeriod"] = 60
    done = validate([deployment], "1.30", tmp_path)
    assert done.returncode != 0 and "terminationGracePeriod" in done.stdout + done.stderr


@pytest.mark.parametrize("name", RENDERINGS)
def test_helm_3_and_helm_4_agree(name):
    chart, files, values = RENDERINGS[name]
    assert rendered("helm3", chart, *files, values=values) == rendered("helm4", chart, *files, values=values)


def pods(document):
    """The pod specs within an object."""
    spec = document.get("spec", {})
    if document["kind"] == "Pod":
        yield spec
    elif document["kind"] == "CronJob":
        yield spec["jobTemplate"]["spec"]["template"]["spec"]
    elif "template" in spec and "spec" in spec["template"]:
        yield spec["template"]["spec"]


@pytest.mark.parametrize("name", RENDERINGS)
def test_every_pod_keeps_to_the_restricted_standard(name):
    """Namespaces are labelled with it: what breaks it is refused by the cluster."""
    chart, files, values = RENDERINGS[name]
    for key, document in rendered("helm4", chart, *files, values=values).items():
        for pod in pods(document):
            security = pod["securityContext"]
            assert security["runAsNonRoot"] is True and security["runAsUser"] > 0, key
            assert security["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost"), key
            assert pod["automountServiceAccountToken"] is False, key
            assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}, key
            assert not any("hostPath" in volume for volume in pod.get("volumes", [])), key
            for container in pod["containers"] + pod.get("initContainers", []):
                own = container["securityContext"]
                assert own["allowPrivilegeEscalation"] is False and own["capabilities"]["drop"] == ["ALL"], key
                assert own["readOnlyRootFilesystem"] is True, key
                assert "@sha256:" in container["image"], f"{key}: {container['image']} is no digest"
                assert container["resources"]["limits"]["memory"], key
