"""charts/backend: the facts of the stack, field by field, and what it refuses. Helm 3 and Helm 4 must agree on all of it."""
import json
import os
import pathlib
import re
import subprocess

import pytest

import charts
from charts import HELMS, ROOT, at, refusal, rendered

GIVEN = {"image": {"digest": charts.DIGEST}}
ENVIRONMENTS = ["stage", "prod"]
POD = ("spec", "template", "spec")
CONTAINER = (*POD, "containers", 0)
PROGRAM = pathlib.Path(os.environ.get("PODVISOR", ROOT / "build/podvisor"))


def backend(helm, environment, values=None):
    return rendered(helm, "backend", f"values-{environment}.yaml", values={**GIVEN, **(values or {})})


# The stack's table, and what SPEC section 10 says of the chart: where each fact stands in what is rendered.
FACTS = [
    ("one replica", "Deployment", ("spec", "replicas"), 1),
    ("rolling updates", "Deployment", ("spec", "strategy", "type"), "RollingUpdate"),
    ("the new pod comes first", "Deployment", ("spec", "strategy", "rollingUpdate", "maxSurge"), 1),
    ("the old one stays until then", "Deployment", ("spec", "strategy", "rollingUpdate", "maxUnavailable"), 0),
    ("CPU request 1", "Deployment", (*CONTAINER, "resources", "requests", "cpu"), "1"),
    ("CPU limit 2", "Deployment", (*CONTAINER, "resources", "limits", "cpu"), "2"),
    ("memory request 2Gi", "Deployment", (*CONTAINER, "resources", "requests", "memory"), "2Gi"),
    ("memory limit 4Gi", "Deployment", (*CONTAINER, "resources", "limits", "memory"), "4Gi"),
    ("Chrome's RAM disk is 2Gi", "Deployment", (*POD, "volumes", {"name": "chrome"}, "emptyDir"), {"medium": "Memory", "sizeLimit": "2Gi"}),
    ("the temp RAM disk is 1Gi", "Deployment", (*POD, "volumes", {"name": "tmp"}, "emptyDir"), {"medium": "Memory", "sizeLimit": "1Gi"}),
    ("shm is 256Mi", "Deployment", (*POD, "volumes", {"name": "shm"}, "emptyDir"), {"medium": "Memory", "sizeLimit": "256Mi"}),
    ("Chrome's data is at", "Deployment", (*CONTAINER, "volumeMounts", {"name": "chrome"}, "mountPath"), "/var/lib/chrome"),
    ("temp is at", "Deployment", (*CONTAINER, "volumeMounts", {"name": "tmp"}, "mountPath"), "/tmp"),
    ("shm is at", "Deployment", (*CONTAINER, "volumeMounts", {"name": "shm"}, "mountPath"), "/dev/shm"),
    ("the image is in GHCR, by digest", "Deployment", (*CONTAINER, "image"), f"ghcr.io/newmarkettrading/backend@{charts.DIGEST}"),
    ("podvisor is the entrypoint", "Deployment", (*CONTAINER, "command"), ["/usr/local/bin/podvisor", "run", "-c", "/etc/podvisor/podvisor.json"]),
    ("the grace period", "Deployment", (*POD, "terminationGracePeriodSeconds"), 60),
    ("no root", "Deployment", (*POD, "securityContext", "runAsNonRoot"), True),
    ("uid 10001", "Deployment", (*POD, "securityContext", "runAsUser"), 10001),
    ("its RAM disks are writable", "Deployment", (*POD, "securityContext", "fsGroup"), 10001),
    ("a seccomp profile", "Deployment", (*POD, "securityContext", "seccompProfile"), {"type": "RuntimeDefault"}),
    ("read-only root", "Deployment", (*CONTAINER, "securityContext", "readOnlyRootFilesystem"), True),
    ("no escalation", "Deployment", (*CONTAINER, "securityContext", "allowPrivilegeEscalation"), False),
    ("no capabilities", "Deployment", (*CONTAINER, "securityContext", "capabilities"), {"drop": ["ALL"]}),
    ("no token", "Deployment", (*POD, "automountServiceAccountToken"), False),
    ("no token of the account", "ServiceAccount", ("automountServiceAccountToken",), False),
    ("the database's address is a secret", "Deployment", (*CONTAINER, "env", {"name": "DATABASE_URL"}, "valueFrom", "secretKeyRef"),
     {"name": "postgres-app", "key": "uri"}),
    ("the settings are a secret", "Deployment", (*CONTAINER, "envFrom"), [{"secretRef": {"name": "backend-env"}}]),
    ("startup probe", "Deployment", (*CONTAINER, "startupProbe"),
     {"httpGet": {"path": "/startupz", "port": "control"}, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 60}),
    ("liveness probe", "Deployment", (*CONTAINER, "livenessProbe"),
     {"httpGet": {"path": "/livez", "port": "control"}, "periodSeconds": 10, "timeoutSeconds": 2, "failureThreshold": 3}),
    ("readiness probe", "Deployment", (*CONTAINER, "readinessProbe"),
     {"httpGet": {"path": "/readyz", "port": "control"}, "periodSeconds": 5, "timeoutSeconds": 2, "failureThreshold": 2}),
    ("the service leads to the gateway", "Service", ("spec", "ports"),
     [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}]),
    ("the gateway's port", "Deployment", (*CONTAINER, "ports", {"name": "http"}, "containerPort"), 8080),
    ("the control port", "Deployment", (*CONTAINER, "ports", {"name": "control"}, "containerPort"), 9400),
    ("NGINX's ingress class", "Ingress", ("spec", "ingressClassName"), "nginx"),
    ("WebSockets may be silent for an hour", "Ingress", ("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-read-timeout"), "3600"),
    ("in both directions", "Ingress", ("metadata", "annotations", "nginx.ingress.kubernetes.io/proxy-send-timeout"), "3600"),
    ("one may be away for a drain of its node", "PodDisruptionBudget", ("spec", "maxUnavailable"), 1),
    ("and one that is not ready never holds it up", "PodDisruptionBudget", ("spec", "unhealthyPodEvictionPolicy"), "AlwaysAllow"),
]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("helm", HELMS)
def test_every_fact_of_the_stack_stands_where_it_belongs(helm, environment):
    found = backend(helm, environment)
    wrong = []
    for fact, kind, path, expected in FACTS:
        try:
            value = at(found[kind, "backend"], *path)
        except (KeyError, IndexError, AssertionError) as e:
            value = f"not there: {e!r}"
        if value != expected or isinstance(value, bool) != isinstance(expected, bool):
            wrong.append(f"{fact} ({kind} {path}): {value!r}, expected {expected!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("environment, host, issuer", [
    ("stage", "backend.stage.newmarkettrading.com", "letsencrypt-stage"),
    ("prod", "backend.newmarkettrading.com", "letsencrypt-prod")])
@pytest.mark.parametrize("helm", HELMS)
def test_each_environment_has_its_name_and_its_certificate(helm, environment, host, issuer):
    found = backend(helm, environment)
    ingress, certificate = found["Ingress", "backend"], found["Certificate", "backend"]
    assert at(ingress, "spec", "rules", 0, "host") == host
    assert at(ingress, "spec", "rules", 0, "http", "paths", 0, "backend", "service") == {"name": "backend", "port": {"name": "http"}}
    assert at(ingress, "spec", "tls") == [{"hosts": [host], "secretName": "backend-tls"}]
    assert at(certificate, "spec", "secretName") == "backend-tls"
    assert at(certificate, "spec", "dnsNames") == [host]
    assert at(certificate, "spec", "issuerRef") == {"group": "cert-manager.io", "kind": "ClusterIssuer", "name": issuer}


def configuration(found):
    return json.loads(found["ConfigMap", "backend"]["data"]["podvisor.json"])


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("helm", HELMS)
def test_podvisors_configuration_says_the_same_as_the_pod(helm, environment):
    found = backend(helm, environment)
    config, pod = configuration(found), at(found["Deployment", "backend"], *POD)
    for name, path in ("chrome", "/var/lib/chrome"), ("tmp", "/tmp"):
        assert config["volumes"][name]["size"] == at(pod, "volumes", {"name": name}, "emptyDir", "sizeLimit")
        assert config["volumes"][name]["path"] == path
    assert config["control"]["listen"] == "0.0.0.0:9400"
    assert config["gateway"]["listen"] == "0.0.0.0:8080"
    assert config["gateway"]["routes"] == [{"path": "/", "worker": "api", "to": "127.0.0.1:3000"}]
    assert config["shutdown"] == {"deadline": "55s", "termination_log": "/dev/termination-log"}
    assert config["postgres"]["main"]["dsn"] == "${DATABASE_URL}"
    assert config["browsers"]["chrome"]["volume"] == "chrome"
    assert config["workers"]["valuation"]["depends_on"] == ["api", "postgres:main", "browser:chrome", "volume:tmp"]
    assert {name for name, worker in config["workers"].items() if "lease" in worker} == {"indexer", "valuation"}


def test_the_charts_workers_are_those_of_config_backend():
    """Whoever starts from config/backend.json and whoever starts from the chart run the same."""
    ours = json.loads((ROOT / "config/backend.json").read_text().replace("${BACKEND_DIR:-/app}", "/app"))
    chart = configuration(backend("helm4", "prod"))
    for section in "workers", "browsers", "postgres", "leases", "volumes", "gateway", "shutdown", "control":
        assert chart[section] == ours[section], section


@pytest.mark.parametrize("values", [{}, {"podvisor": {"leases": None, "workers": {"indexer": {"lease": None}, "valuation": {"lease": None}}}},
                                    {"replicaCount": 3}, {"routing": {"mode": "none"}, "podvisor": {"gateway": None}}],
                         ids=["as it is", "without leases", "three replicas", "without a gateway"])
def test_podvisor_accepts_the_configuration_that_the_chart_writes(values, tmp_path):
    found = rendered("helm4", "backend", "values-prod.yaml", values={**GIVEN, **values})
    config = tmp_path / "podvisor.json"
    config.write_text(found["ConfigMap", "backend"]["data"]["podvisor.json"])
    assert PROGRAM.exists(), f"{PROGRAM} is not built"
    done = subprocess.run([PROGRAM, "check", "-c", config], capture_output=True, text=True, check=False,
                          env={"DATABASE_URL": "postgres://app:secret@postgres/app", "HOSTNAME": "backend-0", "PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_changed_configuration_rolls_the_pods():
    def checksum(values):
        return at(backend("helm4", "prod", values)["Deployment", "backend"], "spec", "template", "metadata", "annotations", "checksum/podvisor")

    assert checksum({}) == checksum({"podAnnotations": {"a": "b"}})
    assert checksum({}) != checksum({"podvisor": {"log": {"level": "debug"}}})


VARIANTS = {
    "stage": ("values-stage.yaml", {}),
    "prod": ("values-prod.yaml", {}),
    "gateway": ("values-prod.yaml", {"routing": {"mode": "gateway"}}),
    "none": ("values-prod.yaml", {"routing": {"mode": "none"}}),
    "everything": ("values-prod.yaml", {
        "replicaCount": 3, "env": {"PACE_MS": "500"}, "seccomp": {"type": "Localhost"}, "priorityClassName": "high",
        "nodeSelector": {"pool": "backend"}, "tolerations": [{"key": "backend", "operator": "Exists"}],
        "podAnnotations": {"a": "b"}, "podLabels": {"team": "markets"}, "image": {**GIVEN["image"], "pullSecrets": ["ghcr"]},
        "secrets": {"external": {"enabled": True, "store": {"name": "vault"}, "key": "backend/prod"}},
        "monitoring": {"podMonitor": {"enabled": True}, "rules": {"enabled": True}, "dashboard": {"enabled": True}},
        "database": {"cidrs": ["10.1.0.0/16"]}}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_helm_3_and_helm_4_render_the_same(name):
    file, values = VARIANTS[name]
    assert rendered("helm3", "backend", file, values={**GIVEN, **values}) == rendered("helm4", "backend", file, values={**GIVEN, **values})


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_helms_own_lint_is_quiet(helm, environment):
    done = charts.run(charts.tool(helm), "lint", "--strict", charts.CHARTS / "backend", "--kube-version", charts.KUBERNETES,
                      "--values", charts.CHARTS / f"backend/values-{environment}.yaml", "--set", f"image.digest={charts.DIGEST}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_the_gateway_takes_the_place_of_the_ingress():
    found = backend("helm4", "stage", {"routing": {"mode": "gateway"}})
    assert not {kind for kind, _ in found} & {"Ingress", "Certificate"}
    route, redirect = found["HTTPRoute", "backend"], found["HTTPRoute", "backend-redirect"]
    assert at(route, "spec", "hostnames") == ["backend.stage.newmarkettrading.com"]
    assert at(route, "spec", "parentRefs") == [{"name": "public", "namespace": "platform", "sectionName": "https-stage"}]
    assert at(route, "spec", "rules", 0, "backendRefs") == [{"name": "backend", "port": 80}]
    assert at(route, "spec", "rules", 0, "timeouts", "request") == "0s"
    assert at(redirect, "spec", "parentRefs", 0, "sectionName") == "http"
    assert at(redirect, "spec", "rules", 0, "filters", 0, "requestRedirect", "scheme") == "https"


def test_without_routing_there_is_neither():
    found = backend("helm4", "stage", {"routing": {"mode": "none"}})
    assert not {kind for kind, _ in found} & {"Ingress", "Certificate", "HTTPRoute"}


def test_the_pod_hears_and_calls_only_whom_it_must():
    spec = backend("helm4", "prod")["NetworkPolicy", "backend"]["spec"]
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    http = at(spec, "ingress", {"ports": [{"port": "http", "protocol": "TCP"}]}, "from")
    assert {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress-nginx"}}} in http
    control = at(spec, "ingress", {"ports": [{"port": "control", "protocol": "TCP"}]}, "from")
    assert control == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}]
    out = {tuple(port["port"] for port in rule["ports"]): rule["to"] for rule in spec["egress"]}
    assert out[5432,] == [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": "postgres"}}}]
    assert out[80, 443] == [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}], "scraping, but no metadata of the cloud"
    assert set(out) == {(53, 53), (5432,), (80, 443)}
    assert all(rule.get("to") for rule in spec["egress"])


def test_selectors_find_the_pods_of_this_release_and_no_others():
    found = backend("helm4", "prod")
    labels = at(found["Deployment", "backend"], "spec", "template", "metadata", "labels")
    test_labels = found["Pod", "backend-test"]["metadata"]["labels"]
    for selector in (at(found["Deployment", "backend"], "spec", "selector", "matchLabels"), found["Service", "backend"]["spec"]["selector"],
                     at(found["NetworkPolicy", "backend"], "spec", "podSelector", "matchLabels"),
                     at(found["PodDisruptionBudget", "backend"], "spec", "selector", "matchLabels")):
        assert selector.items() <= labels.items()
        assert not selector.items() <= test_labels.items(), "the pod of helm test must get no traffic"


def test_an_external_secret_takes_the_place_of_an_existing_one():
    found = backend("helm4", "prod", {"secrets": {"external": {"enabled": True, "store": {"name": "vault"}, "key": "backend/prod"}}})
    secret = found["ExternalSecret", "backend-env"]["spec"]
    assert secret["secretStoreRef"] == {"kind": "ClusterSecretStore", "name": "vault"}
    assert secret["dataFrom"] == [{"extract": {"key": "backend/prod"}}]
    assert at(found["Deployment", "backend"], *CONTAINER, "envFrom") == [{"secretRef": {"name": secret["target"]["name"]}}]


def test_several_replicas_are_spread_over_the_nodes():
    found = backend("helm4", "prod", {"replicaCount": 3})
    assert at(found["Deployment", "backend"], *POD, "topologySpreadConstraints", 0, "topologyKey") == "kubernetes.io/hostname"
    assert "topologySpreadConstraints" not in at(backend("helm4", "prod")["Deployment", "backend"], *POD)


def test_the_notes_tell_the_memory_budget():
    """Only an installation prints them, in Helm 4 also one that is only played; Helm 3 wants a whole cluster for that."""
    done = charts.run(charts.tool("helm4"), "install", "backend", charts.CHARTS / "backend", "--dry-run=client", "--namespace", "test",
                      "--values", charts.CHARTS / "backend/values-stage.yaml", "--set", f"image.digest={charts.DIGEST}",
                      env={"KUBECONFIG": "/nonexistent"})
    assert done.returncode == 0, done.stderr
    notes = done.stdout[done.stdout.index("NOTES:"):]
    for line in (r"limit of the pod +4096Mi", r"- RAM disk chrome +2048Mi", r"- RAM disk tmp +1024Mi", r"- RAM disk shm +256Mi",
                 r"left for processes +768Mi", "https://backend.stage.newmarkettrading.com/"):
        assert re.search(line, notes), notes


# Each mistake with the sentence that has to be said; together with those of the schema below.
MISTAKES = {
    "no digest": ({"image": {"digest": ""}}, "image.digest: \"\" is no digest; give the sha256:... that deploy/image printed"),
    "a tag in place of a digest": ({"image": {"digest": "v1.2.3"}}, "image.digest: \"v1.2.3\" is no digest"),
    "RAM disks as large as the limit": ({"ramDisks": {"chrome": {"size": "3Gi"}}},
                                        "when they are full they take 4352Mi, which leaves -256Mi of resources.limits.memory (4096Mi)"),
    "RAM disks that leave too little": ({"ramDisks": {"tmp": {"size": "1536Mi"}}}, "make the RAM disks smaller or the limit at least 4352Mi"),
    "a limit that is lowered": ({"resources": {"limits": {"memory": "3Gi"}}}, "make the RAM disks smaller or the limit at least 3840Mi"),
    "a size that is none": ({"ramDisks": {"chrome": {"size": "2 GB"}}}, "ramDisks.chrome.size: \"2 GB\" is no size; write it as Kubernetes does"),
    "a request above the limit": ({"resources": {"requests": {"memory": "5Gi"}}}, "resources.requests.memory: 5Gi is more than resources.limits.memory (4Gi)"),
    "two RAM disks in one place": ({"ramDisks": {"tmp": {"path": "/var/lib/chrome"}}}, "ramDisks.tmp.path: /var/lib/chrome is already the path of ramDisks.chrome"),
    "one port for both": ({"ports": {"control": 8080}}, "ports: gateway and control are both 8080; give each a port of its own"),
    "a grace period that is too short": ({"terminationGracePeriodSeconds": 30},
                                         "terminationGracePeriodSeconds: 30 is too short for shutdown.deadline 55s: podvisor ends up to 2 s after it"),
    "a grace period that ends with the deadline": ({"terminationGracePeriodSeconds": 55}, "set at least 58, or a shorter deadline"),
    "a deadline shorter than the drain": ({"shutdown": {"deadline": "30s"}}, "shutdown.deadline: 30s is shorter than the drain's budget"),
    "a drain longer than the deadline": ({"podvisor": {"gateway": {"drain": {"spread": "40s"}}}}, "set at least 69s, and terminationGracePeriodSeconds with it"),
    "a deadline that is no duration": ({"shutdown": {"deadline": "55"}}, "shutdown.deadline: \"55\" is no duration; write it as podvisor does"),
    "replicas without leases": ({"replicaCount": 2, "podvisor": {"leases": None}}, "replicaCount: 2 without podvisor.leases would run every worker 2 times"),
    "replicas of a worker without one": ({"replicaCount": 2, "podvisor": {"workers": {"indexer": {"lease": None}}}},
                                         "podvisor.workers.indexer: without a lease it would run in all 2 replicas at once; give it a lease"),
    "a worker everywhere that is nowhere": ({"replicas": {"everywhere": ["apy"]}}, "replicas.everywhere: there is no worker \"apy\""),
    "an update that can never begin": ({"strategy": {"maxSurge": 0}}, "strategy: with maxSurge 0 and maxUnavailable 0 no update can ever begin"),
    "a browser without a RAM disk": ({"podvisor": {"browsers": {"chrome": {"volume": "chrom"}}}},
                                     "podvisor.browsers.chrome.volume: there is no RAM disk \"chrom\" in ramDisks; name one of: chrome, tmp"),
    "no database": ({"database": {"secret": ""}}, "database.secret: the workers need DATABASE_URL; name the Secret that holds it"),
    "no settings": ({"secrets": {"existing": ""}}, "secrets.existing: name the Secret with the workers' secret settings, or enable secrets.external"),
    "half an external secret": ({"secrets": {"external": {"enabled": True}}}, "secrets.external: name the store (secrets.external.store.name)"),
    "no host": ({"routing": {"host": ""}}, "routing.host: in mode ingress the name that clients use is needed"),
    "nothing to route to": ({"podvisor": {"gateway": None}}, "podvisor.gateway: in mode ingress there must be a gateway to route to"),
    "no issuer": ({"certificate": {"issuer": {"name": ""}}}, "certificate.issuer.name: name the issuer of the certificate"),
    "no listener": ({"routing": {"mode": "gateway", "gateway": {"httpsSection": ""}}}, "routing.gateway.httpsSection: name the Gateway's listener"),
    "no profile": ({"seccomp": {"type": "Localhost", "localhostProfile": ""}}, "seccomp.localhostProfile: with type Localhost name the profile's file"),
    "a budget that blocks drains": ({"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": None}},
                                    "podDisruptionBudget.minAvailable: 1 of 1 replicas would block every node drain"),
    "one in percent": ({"podDisruptionBudget": {"minAvailable": "100%", "maxUnavailable": None}}, "podDisruptionBudget.minAvailable: 100%"),
    "none that may be away": ({"podDisruptionBudget": {"maxUnavailable": 0}}, "podDisruptionBudget.maxUnavailable: 0 would block every node drain"),
}

# What the schema finds. Helm writes these sentences; the value's path and what is wrong must be in them.
SCHEMA_MISTAKES = {
    "a key misspelt": ({"replicaCuont": 2}, "replicaCuont"),
    "a key misspelt below": ({"routing": {"hosts": "a.example"}}, "/routing"),
    "a number as a text": ({"replicaCount": "2"}, "/replicaCount"),
    "a mode that is none": ({"routing": {"mode": "nginx"}}, "/routing/mode"),
    "a host with a path": ({"routing": {"host": "backend.example/api"}}, "/routing/host"),
    "a worker's key misspelt": ({"podvisor": {"workers": {"api": {"comand": ["node"]}}}}, "comand"),
    "a worker's kind that is none": ({"podvisor": {"workers": {"api": {"kind": "daemon"}}}}, "/podvisor/workers/api/kind"),
    "a section that the chart writes": ({"podvisor": {"control": {"listen": "0.0.0.0:1"}}}, "control"),
    "a variable's name": ({"env": {"A-B": "c"}}, "A-B"),
    "a probe's key": ({"probes": {"liveness": {"period": 1}}}, "period"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("helm", HELMS)
def test_a_mistake_is_refused_with_what_to_do(helm, mistake):
    values, sentence = MISTAKES[mistake]
    merged = {**GIVEN, **values} if "image" not in values else values
    said = refusal(helm, "backend", merged, "values-prod.yaml")
    assert sentence in said, said
    assert said.count("\n  - ") == 1, f"one mistake, one sentence:\n{said}"


@pytest.mark.parametrize("mistake", SCHEMA_MISTAKES)
@pytest.mark.parametrize("helm", HELMS)
def test_a_misspelling_is_named(helm, mistake):
    values, name = SCHEMA_MISTAKES[mistake]
    assert name in refusal(helm, "backend", {**GIVEN, **values}, "values-prod.yaml")


def test_all_mistakes_are_said_in_one_run():
    said = refusal("helm4", "backend", {"image": {"digest": "latest"}, "replicaCount": 2, "terminationGracePeriodSeconds": 10,
                                        "podvisor": {"leases": None}, "database": {"secret": ""}}, "values-prod.yaml")
    for start in "image.digest:", "replicaCount:", "terminationGracePeriodSeconds:", "database.secret:":
        assert f"\n  - {start}" in said


def test_the_schema_is_the_one_that_its_parts_make():
    done = charts.run(charts.CHARTS / "generate-schema", "--check")
    assert done.returncode == 0, done.stderr


def test_each_default_passes_the_schemas_own_pattern_of_a_size():
    """The template and podvisor must agree on what sizes and durations are; podvisor check (above) is the other half."""
    for size, mebibytes in ("1Gi", 1024), ("1.5Gi", 1536), ("1073741824", 1024), ("1100M", 1049):
        said = refusal("helm4", "backend", {**GIVEN, "ramDisks": {"tmp": {"size": size}}, "processMemory": "3Gi"}, "values-prod.yaml")
        assert f"they take {2048 + 256 + mebibytes}Mi" in said
    for deadline, seconds in ("1m30s", 93), ("70500ms", 74), ("0.5h", 1803):
        said = refusal("helm4", "backend", {**GIVEN, "shutdown": {"deadline": deadline}}, "values-prod.yaml")
        assert f"set at least {seconds}, or" in said
