"""A stub of Kubernetes' API server, as far as Lease objects go: TLS with a certificate of its own, bearer tokens, resource
versions, conflicts, watches. It refuses what a real one refuses. What it can be told to do wrong are the faults of real ones:
it stalls, denies, forgets tokens, cuts watches, tells them that they fell behind.

    api = KubernetesApi(directory)        # makes directory/account with token, ca.crt and namespace
    api.env                               # where a client finds it
    api.objects["podvisor.indexer"]       # what there is, as JSON
    with api.stalled(): ...               # no answer to anything, as of a server that hangs
    api.fail = lambda method, name: 500   # an answer in place of the right one; None: the right one
"""
import contextlib
import copy
import datetime
import http.server
import json
import pathlib
import re
import ssl
import subprocess
import threading
import urllib.parse
import uuid

LEASES = re.compile(r"/apis/coordination\.k8s\.io/v1/namespaces/([^/]+)/leases(?:/([^/]+))?$")
NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
SPEC = {"holderIdentity": str, "leaseDurationSeconds": int, "acquireTime": str, "renewTime": str, "leaseTransitions": int}
MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
REASONS = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "NotFound", 409: "Conflict", 410: "Expired", 422: "Invalid",
           500: "InternalError"}


def openssl(*words):
    subprocess.run(["openssl", *map(str, words)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class KubernetesApi:
    def __init__(self, directory, namespace="prod"):
        self.path, self.namespace = pathlib.Path(directory), namespace
        self.account = self.path / "account"
        self.account.mkdir()
        (self.account / "namespace").write_text(namespace)
        self.objects, self.version, self.tokens = {}, 1000, set()
        self.changed = threading.Condition()  # also guards all of this
        self.watches = []  # each a list of lines to send; None ends it
        self.opened = 0  # watches, ever
        self.asked = []  # (method, name, code)
        self.whole = threading.Event()
        self.whole.set()
        self.fail = lambda method, name: None
        self.rotate("first-" + uuid.uuid4().hex)
        self._serve()

    def rotate(self, token):
        """The kubelet writes a new token; the old one is no longer good."""
        fresh = self.account / "token.new"
        fresh.write_text(token)
        fresh.rename(self.account / "token")
        self.tokens = {token}
        self.token = token

    def _serve(self):
        key, cert = self.path / "key.pem", self.account / "ca.crt"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
                "-days", "2", "-subj", "/CN=kubernetes", "-addext", "subjectAltName=IP:127.0.0.1")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        stub = self

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def finish_request(self, request, address):
                request.settimeout(120)
                with contextlib.suppress(OSError):
                    super().finish_request(context.wrap_socket(request, server_side=True), address)

            def handle_error(self, request, address):
                pass  # a client that went away

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def handle_any(self):
                stub.answer(self)
            do_GET = do_POST = do_PUT = do_DELETE = handle_any

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(self.port)}
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.whole.set()
        self.cut_watches()
        self.server.shutdown()
        self.server.server_close()

    # Faults

    @contextlib.contextmanager
    def stalled(self):
        self.whole.clear()
        yield
        self.whole.set()

    def cut_watches(self, last=None):
        with self.changed:
            for watch in self.watches:
                watch.extend(([last] if last else []) + [None])
            self.changed.notify_all()

    def delete(self, name):
        with self.changed:
            self._tell("DELETED", self.objects.pop(name))

    def put(self, name, change):
        """As somebody with kubectl would: change is called with the object."""
        with self.changed:
            changed = copy.deepcopy(self.objects[name])
            change(changed)
            self._store(name, changed, "MODIFIED")

    def make_released(self, name, transitions):
        """As its last holder left it."""
        with self.changed:
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "labels": {"podvisor/leases": "podvisor"}},
                    "spec": {"holderIdentity": "", "leaseTransitions": transitions}}
            self._post(name, body)
            uid = self.objects[name]["metadata"]["uid"]
            self._store(name, {**self.objects[name], "metadata": {**self.objects[name]["metadata"],
                                                                  "annotations": {"podvisor/granted-on": uid}}}, "MODIFIED")

    # Requests

    def answer(self, request):
        length = int(request.headers.get("Content-Length", 0))
        body = json.loads(request.rfile.read(length)) if length else None
        url = urllib.parse.urlsplit(request.path)
        found = LEASES.match(url.path)
        name = (found and found[2]) or (body or {}).get("metadata", {}).get("name")
        code, told = 0, None
        try:
            self.whole.wait()
            self._admit(request, found, name)
            if request.command == "GET" and "watch" in url.query:
                self._watch(request, dict(urllib.parse.parse_qsl(url.query)))
                return
            with self.changed:
                code, told = getattr(self, "_" + request.command.lower())(name, body)
        except Refused as e:
            code, told = e.code, {"kind": "Status", "status": "Failure", "code": e.code, "reason": REASONS[e.code],
                                  # as real ones do not, so that nobody may believe it never happens
                                  "message": f"{e} (asked with {request.headers.get('Authorization')})"}
        self.asked.append((request.command, name, code))
        text = json.dumps(told).encode()
        request.send_response(code)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _admit(self, request, found, name):
        if request.headers.get("Authorization") not in {f"Bearer {token}" for token in self.tokens}:
            raise Refused(401, "Unauthorized")
        if not found or found[1] != self.namespace:
            raise Refused(403, "not in this namespace")
        code = self.fail(request.command, name)
        if code:
            raise Refused(code, "told to")

    def _get(self, name, _):
        if name not in self.objects:
            raise Refused(404, "not found")
        return 200, self.objects[name]

    def _post(self, name, body):
        if name in self.objects:
            raise Refused(409, "already exists")
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        body["metadata"].update(uid=str(uuid.uuid4()), creationTimestamp=now, namespace=self.namespace)
        return 201, self._store(name, body, "ADDED")

    def _put(self, name, body):
        if name not in self.objects:
            raise Refused(404, "not found")
        there, sent = self.objects[name]["metadata"], body["metadata"]
        if sent["name"] != name or "resourceVersion" not in sent:
            raise Refused(422, "metadata.resourceVersion: must be specified for an update")
        if (sent["resourceVersion"], sent["uid"]) != (there["resourceVersion"], there["uid"]):
            raise Refused(409, "the object has been modified")
        return 200, self._store(name, body, "MODIFIED")

    def _store(self, name, body, kind):
        self._check(body)
        self.version += 1
        body = copy.deepcopy(body)
        body["metadata"]["resourceVersion"] = str(self.version)
        self.objects[name] = body
        self._tell(kind, body)
        return body

    @staticmethod
    def _check(body):
        spec = body.get("spec", {})
        ok = body.get("kind") == "Lease" and body.get("apiVersion") == "coordination.k8s.io/v1"
        ok &= bool(NAME.match(body["metadata"]["name"])) and len(body["metadata"]["name"]) <= 253
        ok &= all(isinstance(value, SPEC.get(key, ())) for key, value in spec.items())
        ok &= all(MICRO_TIME.match(spec[key]) for key in ("acquireTime", "renewTime") if key in spec)
        ok &= 0 < spec.get("leaseDurationSeconds", 1) < 2**31 and 0 <= spec.get("leaseTransitions", 0) < 2**31
        ok &= all(isinstance(value, str) for part in ("labels", "annotations") for value in body["metadata"].get(part, {}).values())
        if not ok:
            raise Refused(422, f"{body} is invalid")

    def _fits(self, selector, body):
        key, _, value = selector.partition("=")
        return body["metadata"].get("labels", {}).get(key) == value

    def _tell(self, kind, body):
        for watch in self.watches:
            watch.append({"type": kind, "object": body})
        self.changed.notify_all()

    def _watch(self, request, query):
        with self.changed:
            lines = [{"type": "ADDED", "object": body} for body in self.objects.values()]
            self.watches.append(lines)
            self.opened += 1
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            while (line := self._next(lines)) is not None:
                if line["type"] == "ERROR" or self._fits(query["labelSelector"], line["object"]):
                    text = json.dumps(line).encode() + b"\n"
                    request.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            request.wfile.write(b"0\r\n\r\n")
        except OSError:
            request.close_connection = True
        finally:
            with self.changed:
                self.watches.remove(lines)

    def _next(self, lines):
        with self.changed:
            self.changed.wait_for(lambda: lines)
            return lines.pop(0)
