"""deploy/deploy, rollback and bootstrap against recorded stubs of the cloud's commands: order, flags of both Helms, what is taken
back, what a second run leaves alone, and how a run that failed goes on."""
import base64
import json
import re
import subprocess

import pytest

import charts
from stubbed import Stubs

HELM = {3: {"match": "^helm version", "out": "v3.22.0"}, 4: {"match": "^helm version", "out": "v4.3.1"}}
HISTORY = [{"revision": 3, "status": "superseded"}, {"revision": 4, "status": "failed"}, {"revision": 5, "status": "deployed"}]
SERVES = [{"match": "^helm history", "out": json.dumps(HISTORY)}, {"match": "^curl", "out": "200"}]
FAILS = {"match": "^helm upgrade backend", "code": 1, "err": "context deadline exceeded"}


@pytest.fixture
def stubs(tmp_path):
    return lambda *rules: Stubs(tmp_path, list(rules))


def deploy(stubs, *more, digest=charts.DIGEST, env="stage"):
    return stubs.run("deploy", "--env", env, "--digest", digest, *more)


def first(lines, start):
    found = [line for line in lines if line.startswith(start)]
    assert found, f"no {start} in {lines}"
    return found[0]


@pytest.mark.parametrize("helm, flags", [(3, "--atomic --wait"), (4, "--rollback-on-failure --wait")])
@pytest.mark.parametrize("environment", ["stage", "prod"])
def test_a_digest_is_put_into_service_with_either_helm(stubs, helm, flags, environment):
    stub = stubs(HELM[helm], *SERVES)
    done = deploy(stub, env=environment)
    assert done.returncode == 0, done.stderr
    lines = stub.lines()
    upgrade = first(lines, "helm upgrade backend")
    assert f"--namespace {environment}" in upgrade and f"values-{environment}.yaml" in upgrade
    assert f"image.digest={charts.DIGEST}" in upgrade and upgrade.endswith(flags)
    order = [line.split(" --")[0] for line in lines]
    assert order.index("helm test backend") > order.index(upgrade.split(" --")[0])
    host = {"stage": "backend.stage.newmarkettrading.com", "prod": "backend.newmarkettrading.com"}[environment]
    assert first(lines, "curl").endswith(f"https://{host}/")


@pytest.mark.parametrize("digest", ["", "latest", "sha256:abc", "sha256:" + "A" * 64, "a" * 64, charts.DIGEST + " --set x=y"])
def test_only_a_digest_is_deployed(stubs, digest):
    stub = stubs(HELM[4], *SERVES)
    done = deploy(stub, digest=digest)
    assert done.returncode == 64 and "--digest" in done.stderr
    assert not stub.lines()


def test_an_image_that_does_not_get_ready_ends_the_deploy(stubs):
    stub = stubs(HELM[4], FAILS, *SERVES)
    done = deploy(stub)
    assert done.returncode == 1
    assert "did not get ready; Helm has rolled it back to what revision 5 was" in done.stderr
    assert not [line for line in stub.lines() if line.startswith(("helm test", "helm rollback"))]


@pytest.mark.parametrize("broken", [{"match": "^helm test", "code": 1}, {"match": "^curl", "out": "502"}, {"match": "^curl", "code": 7}])
def test_one_that_gets_ready_and_does_not_answer_is_taken_back(stubs, broken):
    stub = stubs(HELM[3], broken, *SERVES)
    done = deploy(stub)
    assert done.returncode == 1
    assert "revision 5 is back in service" in done.stderr
    assert first(stub.lines(), "helm rollback").startswith("helm rollback backend 5 --namespace stage")


def test_a_way_back_that_fails_is_said(stubs):
    stub = stubs(HELM[4], {"match": "^curl", "out": "500"}, {"match": "^helm rollback", "code": 1}, *SERVES)
    done = deploy(stub)
    assert done.returncode == 1 and "the way back to revision 5 failed too" in done.stderr


def test_a_first_installation_has_nothing_to_go_back_to(stubs):
    stub = stubs(HELM[4], {"match": "^helm history", "code": 1, "err": "release: not found"}, {"match": "^curl", "out": "503"})
    done = deploy(stub)
    assert done.returncode == 1 and "there is nothing to go back to" in done.stderr
    assert not [line for line in stub.lines() if line.startswith("helm rollback")]


@pytest.mark.parametrize("version", ["v2.17.0", ""])
def test_another_helm_is_refused(stubs, version):
    stub = stubs({"match": "^helm version", "out": version}, *SERVES)
    done = deploy(stub)
    assert done.returncode == 1 and "3 or 4 is needed" in done.stderr
    assert not [line for line in stub.lines() if "upgrade" in line]


def test_a_cluster_that_cannot_be_reached_is_no_first_installation(stubs):
    stub = stubs(HELM[4], {"match": "^helm history", "code": 1, "err": "connection refused"})
    done = deploy(stub)
    assert done.returncode == 1 and "cannot be read" in done.stderr and "connection refused" in done.stderr
    assert not [line for line in stub.lines() if "upgrade" in line]


@pytest.mark.parametrize("words", [["--env"], ["--env", ""], ["--digest"], ["--timeout", "soon"]])
@pytest.mark.parametrize("script", ["deploy", "rollback", "bootstrap"])
def test_an_option_without_its_value_is_refused(stubs, script, words):
    done = stubs().run(script, *words)
    assert done.returncode == 64, done.stderr


def test_a_rollback_skips_revisions_that_failed(stubs):
    stub = stubs(HELM[4], *SERVES)
    done = stub.run("rollback", "--env", "prod")
    assert done.returncode == 0, done.stderr
    assert first(stub.lines(), "helm rollback").startswith("helm rollback backend 3 --namespace prod")


def test_a_rollback_to_a_revision(stubs):
    stub = stubs(HELM[4], *SERVES)
    assert stub.run("rollback", "--env", "prod", "--to", "2").returncode == 0
    assert first(stub.lines(), "helm rollback").startswith("helm rollback backend 2 ")
    assert stub.run("rollback", "--env", "prod", "--to", "2; rm -rf /").returncode == 64


def test_a_rollback_without_a_past_is_refused(stubs):
    stub = stubs(HELM[4], {"match": "^helm history", "out": json.dumps(HISTORY[-1:])})
    done = stub.run("rollback", "--env", "prod")
    assert done.returncode == 1 and "there is no earlier revision" in done.stderr


# An account that fills as the commands make things.
ACCOUNT = [
    {"match": "^doctl vpcs list", "when": "vpc", "out": "other 11\nnewmarkettrading 22\n"},
    {"match": "^doctl vpcs list", "out": "other 11\n"},
    {"match": "^doctl vpcs create", "makes": "vpc"},
    {"match": "^doctl kubernetes cluster list", "when": "cluster", "out": "newmarkettrading 33\n"},
    {"match": "^doctl kubernetes cluster list", "out": ""},
    {"match": "^doctl kubernetes cluster create", "makes": "cluster"},
    {"match": "get secret postgres-app", "when": "secrets", "out": "secret/postgres-app"},
    {"match": "get secret", "when": "secrets", "out": "secret/x"},
    {"match": "get secret", "code": 1},
    {"match": "create secret generic backend-env", "makes": "secrets"},
    {"match": "get service ingress-nginx-controller", "out": "203.0.113.7"},
    {"match": "^doctl compute domain records list", "out": "[]"},
    HELM[4], *SERVES,
]
GIVEN = {"BACKUP_BUCKET": "dumps", "BACKUP_ACCESS_KEY": "AKIDEXAMPLE", "BACKUP_SECRET_KEY": "very-secret"}


def bootstrap(stub, *more, env=None):
    return stub.run("bootstrap", "--env", "stage", "--email", "ops@example.org", "--digest", charts.DIGEST, *more, env={**GIVEN, **(env or {})})


ORDER = ["doctl vpcs create", "doctl kubernetes cluster create", "doctl kubernetes cluster kubeconfig save", "kubectl apply",
         "helm upgrade cert-manager", "helm upgrade ingress-nginx", "helm upgrade platform", "kubectl create --filename",
         "helm upgrade postgres", "helm upgrade backend", "doctl compute domain records create"]


def test_bootstrap_goes_from_nothing_to_the_running_stack_in_order(stubs):
    stub = stubs(*ACCOUNT)
    done = bootstrap(stub)
    assert done.returncode == 0, done.stderr
    lines = stub.lines()
    at = [next(i for i, line in enumerate(lines) if line.startswith(start)) for start in ORDER]
    assert at == sorted(at), list(zip(ORDER, at))
    cluster = first(lines, "doctl kubernetes cluster create")
    for word in "--vpc-uuid 22", "--cluster-subnet", "--service-subnet", "--surge-upgrade":
        assert word in cluster
    assert "--expiry-seconds 28800" in first(lines, "doctl kubernetes cluster kubeconfig")
    assert "crds.enabled=true" in first(lines, "helm upgrade cert-manager") and re.search(r"--version v\d", first(lines, "helm upgrade cert-manager"))
    assert "email=ops@example.org" in first(lines, "helm upgrade platform")
    assert "backup.bucket=dumps" in first(lines, "helm upgrade postgres")
    assert "backend.stage" in first(lines, "doctl compute domain records create") and "203.0.113.7" in first(lines, "doctl compute domain records create")


def test_a_second_bootstrap_makes_nothing_twice(stubs):
    stub = stubs(*ACCOUNT)
    assert bootstrap(stub).returncode == 0
    stub.asked()
    done = bootstrap(stub)
    assert done.returncode == 0, done.stderr
    lines = stub.lines()
    assert not [line for line in lines if re.search(r"vpcs create|cluster create|create --filename|create secret", line)]
    assert first(lines, "helm upgrade platform").split()[4] == "--install" or "--install" in first(lines, "helm upgrade platform")


@pytest.mark.parametrize("step, rule", [
    ("vpc", "^doctl vpcs create"), ("cluster", "^doctl kubernetes cluster create"), ("kubeconfig", "kubeconfig save"), ("namespaces", "^kubectl apply"),
    ("cert-manager", "^helm upgrade cert-manager"), ("ingress", "^helm upgrade ingress-nginx"), ("platform", "^helm upgrade platform"),
    ("secrets", "^kubectl create --filename"), ("postgres", "^helm upgrade postgres"), ("backend", "^helm upgrade backend"), ("dns", "records create")])
def test_a_run_that_fails_in_the_middle_says_where_and_goes_on_the_next_time(stubs, step, rule):
    stub = stubs({"match": rule, "code": 1, "err": "503 service unavailable", "times": 1}, *ACCOUNT)
    done = bootstrap(stub)
    assert done.returncode == 1
    assert f"the step {step} failed" in done.stderr and f"--from {step}" in done.stderr
    before = stub.lines()
    later = [start for start in ORDER if not any(line.startswith(start) for line in before)]
    done = bootstrap(stub)
    assert done.returncode == 0, done.stderr
    lines = stub.lines()
    for start in later:
        first(lines, start)


def test_from_a_step_on(stubs):
    stub = stubs(*ACCOUNT)
    done = bootstrap(stub, "--from", "postgres")
    assert done.returncode == 0, done.stderr
    assert not [line for line in stub.lines() if re.search("vpcs|cluster|cert-manager|platform --install", line)]
    done = bootstrap(stub, "--from", "postgress")
    assert done.returncode == 64 and 'there is no step "postgress"; there are vpc cluster' in done.stderr


def test_a_dry_run_changes_nothing(stubs):
    stub = stubs(*ACCOUNT)
    done = bootstrap(stub, "--dry-run")
    assert done.returncode == 0, done.stderr
    changing = re.compile(r"create|apply|upgrade|rollback|save|delete|helm test")
    assert not [line for line in stub.lines() if changing.search(line)]
    for start in "doctl vpcs create", "helm upgrade postgres", "helm upgrade backend", "deploy/dns apply":
        assert f"would run: {start}" in done.stdout
    assert "very-secret" not in done.stdout + done.stderr


def test_passwords_are_made_once_and_never_stand_in_an_argument(stubs):
    stub = stubs(*ACCOUNT)
    done = bootstrap(stub)
    asked = stub.asked()
    secrets = [json.loads(a["stdin"]) for a in asked if a["words"][:2] == ["kubectl", "create"] and a["stdin"]]
    app = next(s for s in secrets if s["metadata"]["name"] == "postgres-app")
    values = {k: base64.b64decode(v).decode() for k, v in app["data"].items()}
    assert set(values) == {"username", "password", "superuser-password", "uri"}
    assert values["uri"] == f"postgresql://app:{values['password']}@postgres.stage.svc:5432/app"
    assert len(values["password"]) > 30 and values["password"] != values["superuser-password"]
    for secret in values["password"], values["superuser-password"], "very-secret":
        assert not [a for a in asked if secret in " ".join(a["words"])]
        assert secret not in done.stdout + done.stderr


def test_without_the_buckets_keys_it_stops_before_there_is_a_database_without_dumps(stubs):
    stub = stubs(*ACCOUNT)
    done = bootstrap(stub, env={"BACKUP_ACCESS_KEY": ""})
    assert done.returncode == 1 and "BACKUP_ACCESS_KEY and BACKUP_SECRET_KEY are needed for the dumps" in done.stderr
    assert not [line for line in stub.lines() if line.startswith("helm upgrade postgres")]


def test_with_the_gateway_there_is_no_ingress_controller(stubs):
    stub = stubs({"match": "get gateway public", "out": "203.0.113.9"}, *ACCOUNT)
    done = bootstrap(stub, "--routing", "gateway")
    assert done.returncode == 0, done.stderr
    lines = stub.lines()
    assert not [line for line in lines if "upgrade ingress-nginx" in line]
    assert "gateway.enabled=true" in first(lines, "helm upgrade platform") and "enableGatewayAPI=true" in first(lines, "helm upgrade cert-manager")
    assert first(lines, "helm upgrade backend").count("--values") == 2
    assert "203.0.113.9" in first(lines, "doctl compute domain records create")


@pytest.mark.parametrize("script", ["deploy", "rollback", "bootstrap", "dns", "preview"])
def test_every_script_explains_itself_and_refuses_what_it_does_not_know(stubs, script):
    stub = stubs()
    done = stub.run(script, "--help")
    assert done.returncode == 0 and done.stdout.lower().startswith("usage:") and "--dry-run" in done.stdout and not done.stderr
    done = stub.run(script, "--nonsense")
    assert done.returncode == 64 and ("--nonsense" in done.stderr or "are required" in done.stderr) and not done.stdout
    assert not stub.lines()


def test_shellcheck_is_quiet():
    scripts = [*charts.CHARTS.glob("*/files/*"), charts.ROOT / ".ci/tools", charts.ROOT / ".ci/install", charts.ROOT / ".ci/run", *(charts.ROOT / "deploy").iterdir()]
    ours = [path for path in scripts if path.is_file() and re.match(rb"#!.*sh\b|# shellcheck|# What the scripts", path.read_bytes())]
    assert len(ours) >= 12
    done = subprocess.run([charts.tool("shellcheck"), "-x", "--source-path=SCRIPTDIR/..", *map(str, ours)], capture_output=True, text=True, check=False, timeout=120, cwd=charts.ROOT)
    assert done.returncode == 0, done.stdout
