#!/usr/bin/python3
"""Stands in for doctl where it cannot be had: the commands that deploy/ uses, with doctl's arguments, requests, output and patience.
Written from doctl's documentation; with PODVISOR_DOCTL=/path/to/doctl the tests drive the real one instead."""
import argparse
import json
import os
import sys
import time
import urllib.error
import urllib.request

TRIES, LONGEST_S = 6, 30


def call(method, path, body=None, taken=None):
    """The answer; `taken`, if given, for a 409."""
    for tries in range(TRIES):
        request = urllib.request.Request(os.environ["DIGITALOCEAN_API_URL"] + path, method=method,
                                         data=json.dumps(body).encode() if body is not None else None,
                                         headers={"Authorization": f"Bearer {os.environ.get('DIGITALOCEAN_ACCESS_TOKEN', '')}",
                                                  "Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=LONGEST_S) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as e:
            if e.code == 409 and taken is not None:
                return taken
            message = json.loads(e.read() or b"{}").get("message", "")
            if e.code not in (429, 500, 502, 503, 504) or tries == TRIES - 1:
                print(json.dumps({"errors": [{"detail": f"{method} {request.full_url}: {e.code} (request \"\") {message}"}]}))
                sys.exit(1)
            time.sleep(float(e.headers.get("Retry-After") or 0.05))
    raise AssertionError


def apps_create(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", choices=["-"], required=True)
    for flag in "--upsert", "--update-sources", "--wait":
        parser.add_argument(flag, action="store_true")
    chosen = parser.parse_args(words)
    spec = json.load(sys.stdin)
    made = call("POST", "/v2/apps", {"spec": spec}, taken={} if chosen.upsert else None)
    if not made:
        same = [app for app in call("GET", "/v2/apps")["apps"] if app["spec"]["name"] == spec["name"]]
        made = call("PUT", f"/v2/apps/{same[0]['id']}", {"spec": spec, "update_all_source_versions": chosen.update_sources})
    if chosen.wait:
        print("Notice: App creation is in progress, waiting for app to be running", file=sys.stderr)
        call("GET", f"/v2/apps/{made['app']['id']}/deployments/{made['app']['pending_deployment']['id']}")
    return [made["app"]]


def apps_delete(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("id")
    parser.add_argument("--force", action="store_true", required=True)
    call("DELETE", f"/v2/apps/{parser.parse_args(words).id}")


def record(words, update):
    parser = argparse.ArgumentParser()
    parser.add_argument("zone")
    for flag in "--record-type", "--record-name", "--record-data", "--record-ttl", *(["--record-id"] if update else []):
        parser.add_argument(flag, required=True)
    chosen = parser.parse_args(words)
    body = {"type": chosen.record_type, "name": chosen.record_name, "data": chosen.record_data, "ttl": int(chosen.record_ttl)}
    path = f"/v2/domains/{chosen.zone}/records" + (f"/{chosen.record_id}" if update else "")
    return [call("PATCH" if update else "POST", path, body)["domain_record"]]


def records_delete(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("zone")
    parser.add_argument("id")
    parser.add_argument("--force", action="store_true", required=True)
    chosen = parser.parse_args(words)
    call("DELETE", f"/v2/domains/{chosen.zone}/records/{chosen.id}")


COMMANDS = {
    ("apps", "list"): lambda _: call("GET", "/v2/apps")["apps"],
    ("apps", "create"): apps_create,
    ("apps", "delete"): apps_delete,
    ("compute", "domain", "records", "list"): lambda words: call("GET", f"/v2/domains/{words[0]}/records")["domain_records"],
    ("compute", "domain", "records", "create"): lambda words: record(words, False),
    ("compute", "domain", "records", "update"): lambda words: record(words, True),
    ("compute", "domain", "records", "delete"): records_delete,
}


def main():
    words = sys.argv[1:]
    if words[-2:] != ["--output", "json"]:
        sys.exit("the stand-in speaks JSON only")
    words = words[:-2]
    for command, run in COMMANDS.items():
        if tuple(words[:len(command)]) == command:
            answer = run(words[len(command):])
            if answer is not None:
                print(json.dumps(answer))
            return
    sys.exit(f"the stand-in knows no {words}")


if __name__ == "__main__":
    main()
