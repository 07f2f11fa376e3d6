"""deploy/preview and deploy/dns with doctl against an API of ours on loopback: what is made, what is left alone, what goes wrong."""
import json
import os
import pathlib
import threading

import pytest

import charts
from fake_digitalocean import TOKEN, DigitalOcean

REAL = os.environ.get("PODVISOR_DOCTL")
ZONE = "newmarkettrading.com"


@pytest.fixture
def api(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/doctl").symlink_to(REAL or pathlib.Path(__file__).with_name("doctl_standin.py"))
    with DigitalOcean() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def run(script, *words, token=TOKEN):
            return charts.run(charts.ROOT / "deploy" / script, *words, env={
                "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "DIGITALOCEAN_API_URL": server.address, "DIGITALOCEAN_ACCESS_TOKEN": token,
                "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})

        server.run = run
        yield server
        server.shutdown()


def good(done):
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def up(api, app="frontend", pr="12", branch="feature/x"):
    return api.run("preview", "up", "--app", app, "--pr", pr, "--branch", branch)


def names(api):
    return sorted(app["spec"]["name"] for app in api.apps.values())


@pytest.mark.parametrize("app, name", [("frontend", "nextjs-pr-12"), ("docs", "docs-pr-12")])
def test_a_preview_has_its_own_name_and_nothing_of_production(api, app, name):
    said = good(up(api, app))
    assert said.splitlines()[0] == f"https://{name}.preview.{ZONE}/"
    assert "ondigitalocean.app" in said, "the address that works before there is a certificate"
    spec, = [a["spec"] for a in api.apps.values()]
    assert spec["name"] == name
    assert [(d["domain"], d["type"], d["zone"]) for d in spec["domains"]] == [(f"{name}.preview.{ZONE}", "PRIMARY", ZONE)]
    part, = spec.get("services", []) + spec.get("static_sites", [])
    assert part["github"]["branch"] == "feature/x" and not part["github"].get("deploy_on_push")
    assert not spec.get("alerts") and "app.newmarkettrading.com" not in json.dumps(spec) and '"https://backend.newmarkettrading.com' not in json.dumps(spec)
    if app == "frontend":
        assert part["http_port"] == 3000 and part["instance_size_slug"] == "apps-s-1vcpu-0.5gb"


def test_a_second_push_updates_the_preview(api):
    good(up(api))
    api.changes()
    good(up(api, branch="feature/y"))
    assert names(api) == ["nextjs-pr-12"]
    assert [line.split()[0] for line in api.changes()] == ["POST", "PUT"], "the name is taken: it is updated"
    assert next(iter(api.apps.values()))["spec"]["services"][0]["github"]["branch"] == "feature/y"


def test_it_is_taken_down_with_its_record_and_twice_is_no_error(api):
    good(up(api))
    api.add_record("CNAME", "nextjs-pr-12.preview", "x.ondigitalocean.app.")
    kept = [api.add_record("CNAME", "nextjs-pr-120.preview", "x."), api.add_record("A", "nextjs-pr-12.preview", "203.0.113.1"),
            api.add_record("CNAME", "nextjs-pr-12", "x.")]
    down = "preview", "down", "--app", "frontend", "--pr", "12"
    assert "nextjs-pr-12 is taken down" in good(api.run(*down))
    assert not api.apps and sorted(api.records) == sorted(kept)
    api.changes()
    assert "nextjs-pr-12 is not there" in good(api.run(*down))
    assert not api.changes()


def test_one_that_goes_while_it_is_taken_down_is_no_error(api):
    good(up(api))
    api.troubles.append(("DELETE /v2/apps", 404, {}))
    assert "was gone already" in good(api.run("preview", "down", "--app", "frontend", "--pr", "12"))


def test_other_apps_are_never_touched(api):
    for name in "nextjs", "docs", "nextjs-pr-1", "nextjs-pr-123", "nextjs-pr-12-old", "my-nextjs-pr-12":
        api.add_app(name)
    good(api.run("preview", "down", "--app", "frontend", "--pr", "12"))
    good(api.run("preview", "sweep", "--app", "docs", "--open", ""))
    assert not api.changes()


def test_a_sweep_takes_down_what_is_no_longer_open(api):
    for name in "nextjs", "nextjs-pr-1", "nextjs-pr-2", "nextjs-pr-03", "nextjs-pr-x", "docs-pr-1":
        api.add_app(name)
    good(api.run("preview", "sweep", "--app", "frontend", "--open", "2,7"))
    assert names(api) == ["docs-pr-1", "nextjs", "nextjs-pr-03", "nextjs-pr-2", "nextjs-pr-x"]


@pytest.mark.parametrize("pr", ["0", "-1", "1x", "", "01", "1;id", "$(id)", "1\n2", "９"])
def test_a_number_that_is_none_is_refused(api, pr):
    done = api.run("preview", "up", "--app", "frontend", f"--pr={pr}", "--branch", "b")
    assert done.returncode == 64 and "is no number of a pull request" in done.stderr
    assert not api.asked


@pytest.mark.parametrize("branch", ["", "-x", "a b", "a;id", "$(id)", "`id`", "a\nname: x", 'a"b', "a'b", "../x", "a..b", "a//b", "a{b", "${X}", "x.lock",
                                    "a" * 300, "é", "a\\b", "a~1", "a^", "a:b", "a?", "a*", "[a]"])
def test_a_hostile_branch_is_refused(api, branch):
    done = api.run("preview", "up", "--app", "frontend", "--pr", "12", f"--branch={branch}")
    assert done.returncode == 64 and "is no name of a branch" in done.stderr
    assert not api.asked


@pytest.mark.parametrize("branch", ["main", "feature/a-b_c.d", "dependabot/npm_and_yarn/next-15.1.0", "user@work", "fix#12", "a=b", "release/1.0+2"])
def test_an_odd_one_is_only_a_text(api, branch):
    good(up(api, branch=branch))
    assert next(iter(api.apps.values()))["spec"]["services"][0]["github"]["branch"] == branch


def test_a_wrong_token_is_said(api):
    done = api.run("preview", "up", "--app", "frontend", "--pr", "1", "--branch", "b", token="dop_v1_" + "1" * 64)
    assert done.returncode == 1 and "DigitalOcean does not accept the token" in done.stderr
    assert "1111" not in done.stdout + done.stderr


def test_being_asked_to_wait_is_waiting(api):
    api.troubles += [("GET /v2/apps/.*/deployments", 429, {"Retry-After": "1"}), ("POST /v2/apps", 429, {"Retry-After": "1"})]
    good(up(api))
    assert names(api) == ["nextjs-pr-12"] and not api.troubles


def test_a_server_that_stumbles_is_asked_again(api):
    api.troubles += [("GET /v2/domains", 503, {"Retry-After": "1"})]
    good(api.run("dns", "apply", "--env", "stage", "--address", "203.0.113.7"))
    assert not api.troubles


def test_a_refusal_is_an_error_and_says_which(api):
    api.troubles += [("POST /v2/apps", 422, {})]
    done = up(api)
    assert done.returncode == 1 and "422" in done.stderr and "as the test wants it" in done.stderr
    assert not api.apps


def test_without_doctl_it_says_so(tmp_path):
    for name in "python3", "env":
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    done = charts.run(charts.ROOT / "deploy/dns", "plan", "--env", "stage", "--address", "203.0.113.7", env={"PATH": str(tmp_path)})
    assert done.returncode == 69 and "doctl is not installed" in done.stderr


def test_make_hands_a_hostile_branch_on_as_it_is(api, tmp_path):
    """Neither make nor the shell below it takes it for its own."""
    mark = tmp_path / "mark"
    for branch in f"$(shell touch {mark})", f"`touch {mark}`", f"'; touch {mark}; '", f'"; touch {mark}; "', f"$$(touch {mark})":
        done = charts.run("make", "--no-print-directory", "-C", charts.ROOT, "preview", "APP=docs", "PR=1", "DRY=1",
                          env={"BRANCH": branch, "PATH": os.environ["PATH"]}, only_env=True)
        assert done.returncode != 0 and "is no name of a branch" in done.stderr, done.stdout + done.stderr
        assert not mark.exists()


# --- DNS


def dns(api, verb, env="stage", address="203.0.113.7", *more):
    return api.run("dns", verb, "--env", env, "--address", address, *more)


def ours(api):
    return sorted((r["type"], r["name"], r["data"], r["ttl"]) for r in api.records.values())


def test_the_backends_names_lead_to_the_load_balancer(api):
    good(dns(api, "apply", "prod"))
    good(dns(api, "apply", "stage", "203.0.113.8"))
    assert ours(api) == [("A", "backend", "203.0.113.7", 300), ("A", "backend.stage", "203.0.113.8", 300)]


def test_after_apply_the_plan_is_empty(api):
    planned = dns(api, "plan")
    assert planned.returncode == 2 and planned.stdout == f"+ A backend.stage.{ZONE} 203.0.113.7 ttl 300\n"
    assert not api.changes(), "a plan changes nothing"
    good(dns(api, "apply"))
    api.changes()
    assert good(dns(api, "plan")) == f"{ZONE}: nothing to change\n"
    good(dns(api, "apply"))
    assert not api.changes()


def test_a_changed_address_is_an_update_not_a_gap(api):
    good(dns(api, "apply"))
    api.changes()
    said = good(dns(api, "apply", "stage", "203.0.113.99"))
    assert said.startswith(f"~ A backend.stage.{ZONE} 203.0.113.7 ttl 300 -> 203.0.113.99 ttl 300")
    assert [line.split()[0] for line in api.changes()] == ["PATCH"]


def test_records_of_others_are_kept(api):
    others = [("NS", "@", "ns1.digitalocean.com", 1800), ("MX", "@", "mail.example.org", 1800), ("TXT", "backend.stage", "v=spf1 -all", 300),
              ("CNAME", "app", "x.ondigitalocean.app", 1800), ("CNAME", "docs", "y.ondigitalocean.app", 1800), ("A", "backend", "198.51.100.1", 60),
              ("AAAA", "backend.stage", "2001:db8::1", 300), ("A", "other", "198.51.100.2", 1800)]
    for record in others:
        api.add_record(*record)
    good(dns(api, "apply", "stage"))
    assert ours(api) == sorted([*others, ("A", "backend.stage", "203.0.113.7", 300)])


def test_a_second_record_of_our_name_goes(api):
    """Or clients would be sent to a load balancer that is no longer there, every second time."""
    api.add_record("A", "backend.stage", "198.51.100.1", 300)
    right = api.add_record("A", "backend.stage", "203.0.113.7", 300)
    good(dns(api, "apply"))
    assert list(api.records) == [right]


@pytest.mark.parametrize("address", ["", "backend.example", "203.0.113", "2001:db8::1", "203.0.113.7; id", "0x7f.1"])
def test_an_address_that_is_none_is_refused(api, address):
    done = api.run("dns", "apply", "--env", "stage", f"--address={address}")
    assert done.returncode == 64 and "--address wants an IPv4 address" in done.stderr
    assert not api.asked


def test_dry_runs_change_nothing(api):
    assert "would run: doctl compute domain records create" in good(dns(api, "apply", "stage", "203.0.113.7", "--dry-run"))
    assert "would run: doctl apps create" in good(api.run("preview", "up", "--app", "docs", "--pr", "1", "--branch", "b", "--dry-run"))
    api.add_app("docs-pr-1")
    assert "would run: doctl apps delete" in good(api.run("preview", "--dry-run", "sweep", "--app", "docs", "--open", ""))
    assert not api.changes()


# --- The specs themselves

SPECS = {
    "frontend": [("name of the app", ("domains", 0, "domain"), "app.newmarkettrading.com"), ("a service", ("services", 0, "http_port"), 3000),
                 ("its build", ("services", 0, "build_command"), "npm ci && npm run build"), ("Node.js", ("services", 0, "environment_slug"), "node-js")],
    "docs": [("name of the app", ("domains", 0, "domain"), "docs.newmarkettrading.com"), ("a static site", ("static_sites", 0, "output_dir"), "_book"),
             ("its build", ("static_sites", 0, "build_command"), "npm ci && npm run build")],
}


@pytest.mark.parametrize("app", SPECS)
def test_the_facts_of_the_stack_stand_in_the_specs(app):
    spec = json.loads((charts.ROOT / f"config/app/{app}.json").read_text())
    for fact, path, expected in [*SPECS[app], ("the zone", ("domains", 0, "zone"), ZONE)]:
        assert charts.at(spec, *path) == expected, fact
    component = charts.at(spec, "ingress", "rules", 0, "component", "name")
    assert component in [part["name"] for part in spec.get("services", []) + spec.get("static_sites", [])]
    assert charts.at(spec, "ingress", "rules", 0, "match", "path", "prefix") == "/"


@pytest.mark.skipif(not REAL, reason="wants the real doctl, which no registry of the tests has: PODVISOR_DOCTL=/path/to/doctl")
@pytest.mark.parametrize("app", SPECS)
def test_doctl_takes_the_specs(app):
    done = charts.run(REAL, "apps", "spec", "validate", "--schema-only", charts.ROOT / f"config/app/{app}.json")
    assert done.returncode == 0, done.stdout + done.stderr
