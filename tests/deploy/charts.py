"""What the tests of charts and deploy tooling share: where the tools are, and charts rendered by Helm 3 and Helm 4."""
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHARTS = ROOT / "charts"
TOOLS = pathlib.Path(subprocess.run([ROOT / ".ci/tools", "--path"], capture_output=True, text=True, check=True).stdout.strip())
HELMS = ["helm3", "helm4"]
KUBERNETES = "1.33.0"
DIGEST = "sha256:" + "a" * 64


def tool(name):
    """The path of a program; a test that cannot have it is skipped, which fails in CI (tests/tools/run-suites)."""
    found = TOOLS / name if (TOOLS / name).exists() else shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed; make tools or make deps installs it")
    return str(found)


def run(*words, env=None, stdin=None, seconds=120, cwd=None, only_env=False):
    """A command's end: returncode, stdout, stderr. Helm keeps its own files out of the home directory."""
    with tempfile.TemporaryDirectory(prefix="podvisor-deploy-") as home:
        base = {} if only_env else dict(os.environ)
        base |= {"HELM_CACHE_HOME": home, "HELM_CONFIG_HOME": home, "HELM_DATA_HOME": home, **(env or {})}
        return subprocess.run([str(w) for w in words], env=base, input=stdin, capture_output=True, text=True, timeout=seconds, check=False, cwd=cwd)


def values_file(directory, values):
    path = pathlib.Path(directory) / "values.yaml"
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
    return path


def template(helm, chart, *files, values=None, release=None, extra=()):
    """helm template, as it ended."""
    with tempfile.TemporaryDirectory(prefix="podvisor-deploy-") as at:
        words = [tool(helm), "template", release or chart, CHARTS / chart, "--namespace", "test", "--kube-version", KUBERNETES]
        for name in files:
            words += ["--values", CHARTS / chart / name]
        if values is not None:
            words += ["--values", values_file(at, values)]
        return run(*words, *extra)


def documents(text):
    return [document for document in yaml.safe_load_all(text) if document]


@functools.lru_cache(maxsize=None)
def _rendered(helm, chart, files, values, extra):
    done = template(helm, chart, *files, values=values, extra=extra)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(helm, chart, *files, values=None, extra=()):
    """What a chart renders to, as {(kind, name): object}."""
    text = _rendered(helm, chart, files, yaml.safe_dump(values) if values is not None else None, tuple(extra))
    found = {}
    for document in documents(text):
        key = document["kind"], document["metadata"]["name"]
        assert key not in found, f"{key} is rendered twice"
        found[key] = document
    return found


def refusal(helm, chart, values, *files):
    """The sentences with which a chart refuses values."""
    done = template(helm, chart, *files, values=values)
    assert done.returncode != 0, f"rendered, although it should not:\n{done.stdout}"
    return done.stderr


def at(document, *path):
    """document["a"][0]["b"] by path; a dict as a step picks the list's item that has these fields."""
    for step in path:
        if isinstance(step, dict):
            fitting = [item for item in document if all(item.get(k) == v for k, v in step.items())]
            assert len(fitting) == 1, f"{len(fitting)} items have {step}: {document}"
            document = fitting[0]
        else:
            document = document[step]
    return document
