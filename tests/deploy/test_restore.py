"""charts/postgres: the scripts of its ConfigMap, run as the chart runs them, with a real PostgreSQL and a bucket on loopback."""
import glob
import hashlib
import http.server
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest

import charts
from charts import at, rendered

BUCKET = {"endpoint": "https://fra1.digitaloceanspaces.com", "region": "fra1", "bucket": "dumps"}
OBJECT = "postgres/app-20260101T031700Z.dump"
PASSWORDS = {"superuser-password": "super'secret", "password": "app\"secret $1"}
KEYS = {"access-key": "AKIDEXAMPLE", "secret-key": "wJalr/XUtn+FEMI"}
WAIT_S = 60


def programs():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=lambda path: int(path.split("/")[4]))
    if not found:
        pytest.skip("PostgreSQL is not installed; make deps installs it")
    return pathlib.Path(found[-1])


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """PostgreSQL as the chart's StatefulSet has it: initdb with its arguments, its settings, its init script."""

    def __init__(self, directory):
        self.directory, self.bin, self.port = pathlib.Path(directory), programs(), free_port()
        self.user = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        stateful = rendered("helm4", "postgres", values={"backup": BUCKET})["StatefulSet", "postgres"]
        container = at(stateful, "spec", "template", "spec", "containers", 0)
        self.env_of_chart = {e["name"]: e.get("value") for e in container["env"]}
        self.settings = [w for w in container["args"][1:] if w != "-c"]
        self.data = self.directory / "data"
        self.secrets = self.directory / "secrets"
        self.secrets.mkdir()
        for name, text in PASSWORDS.items():
            (self.secrets / name).write_text(text)
        self.log = self.directory / "log"
        self.process = None
        shutil.chown(self.directory, self.user.pw_uid, self.user.pw_gid)
        self.initdb()

    def as_postgres(self, argv, **options):
        env = {"PATH": f"{self.bin}:/usr/bin:/bin", "LC_ALL": "C.UTF-8", **options.pop("env", {})}
        ids = {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        return subprocess.Popen(list(map(str, argv)), env=env, cwd=self.directory, **ids, **options)

    def initdb(self):
        done = self.as_postgres([self.bin / "initdb", "-D", self.data, "-U", self.env_of_chart["POSTGRES_USER"], "--no-sync",
                                 f"--pwfile={self.secrets / 'superuser-password'}", *self.env_of_chart["POSTGRES_INITDB_ARGS"].split()],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out, _ = done.communicate(timeout=WAIT_S)
        assert done.returncode == 0, out.decode()

    def start(self, *settings):
        # Nobody pulls the plug here. A prepared transaction is what one test has in the way.
        settings = [*self.settings, *settings, "fsync=off", "max_prepared_transactions=1"]
        words = [w for setting in settings for w in ("-c", setting)]
        with open(self.log, "a") as log:
            self.process = self.as_postgres([self.bin / "postgres", "-D", self.data, "-h", "127.0.0.1", "-p", self.port, "-k", self.directory, *words],
                                            stdout=log, stderr=log)
        until = time.monotonic() + WAIT_S
        while subprocess.run([self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)], check=False).returncode:
            assert self.process.poll() is None and time.monotonic() < until, self.log.read_text()
            time.sleep(0.1)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(2)  # SIGINT, the image's stop signal
            self.process.wait(WAIT_S)

    def connection(self, user="postgres", database="postgres"):
        password = PASSWORDS["superuser-password" if user == "postgres" else "password"]
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": user, "PGPASSWORD": password, "PGDATABASE": database}

    def script(self, name, env):
        """A script of the ConfigMap, with nothing in its environment but what the chart gives."""
        shell = {"upload": "/bin/sh", "download": "/bin/sh"}.get(name, "/bin/bash")
        path = self.directory / name
        path.write_text(rendered("helm4", "postgres", values={"backup": BUCKET})["ConfigMap", "postgres-scripts"]["data"][name])
        return charts.run(shell, path, env={"PATH": f"{self.bin}:/usr/bin:/bin", **env}, only_env=True)

    def sql(self, text, user="postgres", database="app"):
        done = charts.run(self.bin / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", stdin=text, env=self.connection(user, database))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def checksum(self, database="app"):
        """Of every row of every table, and of what the sequences would give next."""
        return self.sql("select md5(string_agg(t::text, '|' order by t::text)) from blocks t; "
                        "select md5(string_agg(t::text, '|' order by t::text)) from prices t; select last_value from blocks_id_seq", database=database)

    def databases(self):
        return set(self.sql("select datname from pg_database where not datistemplate", database="postgres").split())


@pytest.fixture(scope="module")
def cluster():
    directory = tempfile.mkdtemp(prefix="podvisor-pg-")
    server = Server(directory)
    try:
        server.start()
        done = server.script("init", {**server.connection(), "POSTGRES_USER": "postgres", "APP_USER": "app", "APP_DATABASE": "app",
                                      "APP_PASSWORD_FILE": str(server.secrets / "password")})
        assert done.returncode == 0, done.stderr
        server.version = server.sql("show server_version", database="postgres")
        print(f"PostgreSQL {server.version}")
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def server(cluster):
    """With data in the database app, and no other database."""
    cluster.sql("drop owned by app cascade")
    for database in cluster.databases() - {"postgres", "app"}:
        cluster.sql(f'drop database "{database}"', database="postgres")
    cluster.sql("create schema if not exists public; grant all on schema public to app")
    cluster.sql("create table blocks(id serial primary key, height bigint unique, body jsonb, at timestamptz default now());"
                "create table prices(block int references blocks(id), price numeric, name text, raw bytea);"
                "insert into blocks(height, body) select n, jsonb_build_object('n', n, 'text', repeat('é', n % 50)) from generate_series(1, 3000) n;"
                "insert into prices select id, height * 1.000000001, e'a\\'b\\\\\\n' || id, decode(md5(id::text), 'hex') from blocks;"
                "create view last_price as select max(price) from prices;", user="app")
    return cluster


class Store(http.server.ThreadingHTTPServer):
    """As much of an object store as curl's S3 upload needs. It wants a signature and counts what it was asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.asked, self.failures = {}, [], 0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body=b""):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def admitted(self):
        self.server.asked.append((self.command, self.path))
        if self.server.failures:
            self.server.failures -= 1
            self.answer(503)
            return False
        signature = self.headers.get("Authorization", "")
        wanted = rf"AWS4-HMAC-SHA256 Credential={KEYS['access-key']}/\d{{8}}/fra1/s3/aws4_request, ?SignedHeaders=[a-z0-9;-]+, ?Signature=[0-9a-f]{{64}}"
        if not re.fullmatch(wanted, signature):
            self.answer(403)
            return False
        return True

    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.admitted():
            self.server.objects[self.path] = body
            self.answer(200)

    def do_GET(self):
        if self.admitted():
            body = self.server.objects.get(self.path)
            self.answer(404) if body is None else self.answer(200, body)

    def log_message(self, *_):
        pass


@pytest.fixture
def store():
    with Store() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def bucket(store, directory, **more):
    return {"ENDPOINT": store.address, "REGION": "fra1", "BUCKET": "dumps", "DIR": str(directory), "ACCESS_KEY": KEYS["access-key"],
            "SECRET_KEY": KEYS["secret-key"], **more}


def dump(server, directory):
    """The dump's files, as the CronJob's first container leaves them."""
    done = server.script("dump", {**server.connection(database="app"), "DIR": str(directory), "PREFIX": "postgres"})
    assert done.returncode == 0, done.stderr
    return (directory / "object").read_text().strip().removeprefix("postgres/")


def restore(server, directory):
    return server.script("restore", {**server.connection(database="app"), "DIR": str(directory), "APP_USER": "app"})


def test_the_server_has_checksums_and_scram_and_the_workers_own_only_their_database(cluster):
    assert cluster.sql("show data_checksums") == "on"
    assert cluster.sql("show password_encryption") == "scram-sha-256"
    assert cluster.sql("select bool_and(rolpassword like 'SCRAM-SHA-256$%') from pg_authid where rolcanlogin") == "t"
    assert "trust" not in {line.split()[-1] for line in (cluster.data / "pg_hba.conf").read_text().splitlines() if line and line[0] != "#"}
    assert cluster.sql("select rolsuper or rolcreatedb or rolcreaterole or rolreplication from pg_roles where rolname = 'app'") == "f"
    assert cluster.sql("select pg_get_userbyid(datdba) from pg_database where datname = 'app'") == "app"
    done = charts.run(cluster.bin / "psql", "-Xc", "select 1", env={**cluster.connection("app", "app"), "PGPASSWORD": "wrong"})
    assert done.returncode != 0 and "password authentication failed" in done.stderr


def test_what_was_dumped_comes_back_row_for_row(server, store, tmp_path):
    before = server.checksum()
    name = dump(server, tmp_path)
    done = server.script("upload", bucket(store, tmp_path))
    assert done.returncode == 0, done.stderr
    assert [path for _, path in store.asked] == [f"/dumps/postgres/{name}", f"/dumps/postgres/{name}.sha256"], "the checksum goes last"
    server.sql("delete from prices where block % 2 = 0; update blocks set body = null; drop view last_price; insert into blocks(height) values (-1)", user="app")
    assert server.checksum() != before

    fetched = tmp_path / "fetched"
    fetched.mkdir()
    done = server.script("download", bucket(store, fetched, OBJECT=f"postgres/{name}"))
    assert done.returncode == 0, done.stderr
    damaged = server.checksum()
    done = restore(server, fetched)
    assert done.returncode == 0, done.stderr
    assert server.checksum() == before
    assert server.sql("select count(*) from last_price") == "1"
    aside = re.search(r"what was there is (\S+)", done.stdout)[1]
    assert server.databases() == {"postgres", "app", aside}
    assert server.checksum(aside) == damaged, "nothing of what was there is lost"


def test_the_workers_go_on_with_what_was_restored(server, tmp_path):
    dump(server, tmp_path)
    with subprocess.Popen([server.bin / "psql", "-X"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, **server.connection("app", "app")}) as worker:
        worker.stdin.write("\\echo here\n")
        worker.stdin.flush()
        assert worker.stdout.readline() == "here\n", "a worker is connected while the database is exchanged"
        done = restore(server, tmp_path)
        assert done.returncode == 0, done.stderr
        worker.stdin.write("select 1;\n")
        worker.stdin.close()
        assert "terminating connection" in worker.stderr.read()
    server.sql("insert into blocks(height) values (99999); create table more(a int)", user="app")


def test_a_database_that_is_gone_is_made_anew(server, tmp_path):
    before = server.checksum()
    dump(server, tmp_path)
    server.sql("drop database app", database="postgres")
    try:
        done = restore(server, tmp_path)
        assert done.returncode == 0, done.stderr
        assert server.checksum() == before
        server.sql("insert into blocks(height) values (99999)", user="app")
    finally:
        if "app" not in server.databases():
            server.sql("create database app owner app", database="postgres")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.999])
def test_a_dump_that_is_cut_fails_loudly_and_changes_nothing(server, tmp_path, share):
    before = server.checksum()
    name = dump(server, tmp_path)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[:int(len(content) * share)])
    done = restore(server, tmp_path)
    assert done.returncode != 0
    assert f"restore: {name} is not what its checksum says; app is as it was" in done.stderr
    assert server.checksum() == before and server.databases() == {"postgres", "app"}


@pytest.mark.parametrize("share", [0.01, 0.5, 0.97])
def test_one_whose_checksum_was_made_after_the_cut_fails_as_loudly(server, tmp_path, share):
    before = server.checksum()
    name = dump(server, tmp_path)
    content = (tmp_path / name).read_bytes()[:int((tmp_path / name).stat().st_size * share)]
    (tmp_path / name).write_bytes(content)
    (tmp_path / f"{name}.sha256").write_text(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    done = restore(server, tmp_path)
    assert done.returncode != 0
    assert re.search(rf"restore: {name} (is no dump|could not be restored); app is as it was", done.stderr), done.stderr
    assert server.checksum() == before and server.databases() == {"postgres", "app"}
    server.sql("select 1", user="app")


def test_a_restore_that_fails_at_the_very_end_leaves_the_database_open(server, tmp_path):
    dump(server, tmp_path)
    server.sql("begin; insert into blocks(height) values (-1); prepare transaction 'in the way'", user="app")
    before = server.checksum()
    try:
        done = restore(server, tmp_path)
        assert done.returncode != 0 and "prepared transaction" in done.stderr
        assert "restore: the names could not be exchanged; app is as it was" in done.stderr
        assert server.checksum() == before and server.databases() == {"postgres", "app"}
        server.sql("select 1", user="app")
    finally:
        server.sql("rollback prepared 'in the way'", user="app")


def test_a_dump_changed_on_its_way_is_found(server, tmp_path):
    name = dump(server, tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    done = restore(server, tmp_path)
    assert done.returncode != 0 and "is not what its checksum says" in done.stderr


def test_a_damaged_page_is_no_dump(server, tmp_path):
    """With checksums PostgreSQL sees it, and the job fails instead of storing what is left."""
    file = server.data / server.sql("select pg_relation_filepath('prices')")
    server.stop()
    with open(file, "r+b") as relation:
        relation.seek(8192 + 4096)
        relation.write(os.urandom(64))
    server.start()
    done = server.script("dump", {**server.connection(database="app"), "DIR": str(tmp_path), "PREFIX": "postgres"})
    assert done.returncode != 0 and "invalid page" in done.stderr
    assert not (tmp_path / "object").exists() and not list(tmp_path.glob("*.dump"))


def test_without_a_database_there_is_no_dump(server, tmp_path):
    done = server.script("dump", {**server.connection(database="nope"), "DIR": str(tmp_path), "PREFIX": "postgres"})
    assert done.returncode != 0 and 'database "nope" does not exist' in done.stderr
    assert not (tmp_path / "object").exists()


def test_an_upload_is_tried_again_and_a_refusal_is_an_error(server, store, tmp_path):
    name = dump(server, tmp_path)
    store.failures = 2
    done = server.script("upload", bucket(store, tmp_path))
    assert done.returncode == 0, done.stderr
    assert set(store.objects) == {f"/dumps/postgres/{name}", f"/dumps/postgres/{name}.sha256"}
    done = server.script("upload", {**bucket(store, tmp_path), "ACCESS_KEY": "someone-else"})
    assert done.returncode != 0 and "403" in done.stderr
    assert KEYS["secret-key"] not in done.stdout + done.stderr


def test_a_dump_that_is_not_in_the_bucket_is_an_error(server, store, tmp_path):
    done = server.script("download", bucket(store, tmp_path, OBJECT=OBJECT))
    assert done.returncode != 0 and "404" in done.stderr
    assert not (tmp_path / "object").exists()


def test_an_upgrade_of_the_chart_keeps_the_data(server):
    """The pod is stopped as Kubernetes does it and starts on the same volume with other settings."""
    before = server.checksum()
    server.stop()
    server.start("work_mem=8MB", "max_connections=50")
    assert server.checksum() == before
    assert server.sql("show work_mem") == "8MB"
    assert "database system was not properly shut down" not in server.log.read_text()
