"""As much of DigitalOcean's API as doctl needs for apps and DNS records, on loopback."""
import http.server
import json
import re
import threading
import urllib.parse

TOKEN = "dop_v1_" + "0" * 64


class DigitalOcean(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.apps, self.records, self.next_id = {}, {}, 100
        self.asked = []  # "METHOD /path" of what was let in
        self.troubles = []  # (pattern of "METHOD /path", status, headers): each answers one request
        self.lock = threading.Lock()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def changes(self):
        """What was asked that changes something, since the last time."""
        with self.lock:
            asked, self.asked = self.asked, []
        return [line for line in asked if not line.startswith("GET")]

    def new_id(self):
        self.next_id += 1
        return self.next_id

    def add_app(self, name):
        key = f"00000000-0000-4000-8000-{self.new_id():012d}"
        self.apps[key] = {"id": key, "spec": {"name": name}, "default_ingress": f"https://{name}-abcde.ondigitalocean.app",
                          "pending_deployment": {"id": f"11111111{key[8:]}"}}
        return key

    def add_record(self, kind, name, data, ttl=1800):
        key = self.new_id()
        self.records[key] = {"id": key, "type": kind, "name": name, "data": data, "ttl": ttl, "priority": None, "port": None, "weight": None,
                             "flags": None, "tag": None}
        return key


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body=None, headers=None):
        text = json.dumps(body).encode() if body is not None else b""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def handle_any(self):
        path = urllib.parse.urlsplit(self.path).path.rstrip("/")  # doctl writes some with a slash at the end
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        line, server = f"{self.command} {path}", self.server
        with server.lock:
            for trouble in server.troubles:
                if re.search(trouble[0], line):
                    server.troubles.remove(trouble)
                    return self.answer(trouble[1], {"id": "trouble", "message": "as the test wants it"}, trouble[2])
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self.answer(401, {"id": "unauthorized", "message": "Unable to authenticate you"})
            server.asked.append(line)
            for method, pattern, verb in ROUTES:
                found = re.fullmatch(pattern, path)
                if found and method == self.command:
                    return verb(self, json.loads(body or b"{}"), *found.groups())
        return self.answer(404, {"id": "not_found", "message": f"no {line}"})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def gone(self, what):
        return self.answer(404, {"id": "not_found", "message": f"The {what} you were accessing could not be found."})

    def list_apps(self, _):
        self.answer(200, {"apps": list(self.server.apps.values()), "links": {}, "meta": {"total": len(self.server.apps)}})

    def create_app(self, body):
        if [app for app in self.server.apps.values() if app["spec"]["name"] == body["spec"]["name"]]:
            return self.answer(409, {"id": "conflict", "message": "the name is taken"})
        app = self.server.apps[self.server.add_app(body["spec"]["name"])]
        app["spec"] = body["spec"]
        return self.answer(200, {"app": app})

    def one_app(self, _, key):
        return self.answer(200, {"app": self.server.apps[key]}) if key in self.server.apps else self.gone("app")

    def update_app(self, body, key):
        if key not in self.server.apps:
            return self.gone("app")
        self.server.apps[key]["spec"] = body["spec"]
        return self.answer(200, {"app": self.server.apps[key]})

    def delete_app(self, _, key):
        if self.server.apps.pop(key, None) is None:
            return self.gone("app")
        return self.answer(200, {"id": key})

    def deployments(self, _, key):
        self.answer(200, {"deployments": [{"id": key, "phase": "ACTIVE", "progress": {"success_steps": 1, "total_steps": 1}}], "links": {}, "meta": {"total": 1}})

    def deployment(self, _, key):
        self.answer(200, {"deployment": {"id": key, "phase": "ACTIVE", "progress": {"success_steps": 1, "total_steps": 1}}})

    def list_records(self, _, zone):
        self.answer(200, {"domain_records": list(self.server.records.values()), "links": {}, "meta": {"total": len(self.server.records)}})

    def create_record(self, body, zone):
        key = self.server.add_record(body["type"], body["name"], body["data"], body.get("ttl", 1800))
        self.answer(201, {"domain_record": self.server.records[key]})

    def update_record(self, body, zone, key):
        if int(key) not in self.server.records:
            return self.gone("record")
        self.server.records[int(key)] |= {name: body[name] for name in ("type", "name", "data", "ttl") if name in body}
        return self.answer(200, {"domain_record": self.server.records[int(key)]})

    def delete_record(self, _, zone, key):
        if self.server.records.pop(int(key), None) is None:
            return self.gone("record")
        return self.answer(204)

    def log_message(self, *_):
        pass


APP, ZONE = "/v2/apps/([^/]+)", "/v2/domains/([^/]+)/records"
ROUTES = [
    ("GET", "/v2/apps", Handler.list_apps), ("POST", "/v2/apps", Handler.create_app), ("GET", APP, Handler.one_app), ("PUT", APP, Handler.update_app),
    ("DELETE", APP, Handler.delete_app), ("GET", APP + "/deployments", Handler.deployments), ("GET", APP + "/deployments/[^/]+", Handler.deployment),
    ("GET", ZONE, Handler.list_records), ("POST", ZONE, Handler.create_record), ("PATCH", ZONE + "/([0-9]+)", Handler.update_record),
    ("DELETE", ZONE + "/([0-9]+)", Handler.delete_record),
]
