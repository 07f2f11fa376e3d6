"""Configurations as files: what is refused, what starts nothing, and what a reload changes."""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest

from supervised import DEADLINE_S, MARK, PODVISOR, ROOT, TREE, arguments_of, await_true, built, environ_of, fields_of, marked_with, pods, workers

pytestmark = built

FILES = ROOT / "tests" / "fixtures" / "config"

# Eleven ways to be wrong: every mistake, in the order of the file.
BROKEN = {
    "bad_json": ["3:47: is not JSON"],
    "unknown_key": ['4:7: workers.api.comand: unknown key "comand" (did you mean "command"?)', '8:3: metrics: unknown key'],
    "wrong_type": ["4:18: workers.api.command: is a string (expected a list of strings)", "5:19: workers.api.critical: ",
                   "6:20: workers.api.instances: ", "7:24: workers.api.env.PORT: ", "8:15: workers.api.stop: is a list"],
    "bad_unit": ['3:38: volumes.tmp.size: "1GB" has an unknown unit', '8:28: workers.api.stop.timeout: "10 seconds" has',
                 '9:44: workers.api.restart.backoff.initial: "5" has no unit',
                 '9:59: workers.api.restart.backoff.jitter: "20" has no percent sign'],
    "cycle": ["3:68: workers.api.depends_on: the workers wait for each other in a circle: api -> valuation -> indexer -> api"],
    "missing_dependency": ["4:39: browsers.chrome.volume: ", "5:29: leases.postgres: ", "9:22: workers.api.depends_on[0]: ",
                           "9:39: workers.api.depends_on[1]: ", "9:71: workers.api.depends_on[3]: ",
                           "9:88: workers.api.depends_on[4]: ", "14:42: gateway.routes[0].worker: "],
    "duplicate_key": ['5:32: workers.api.env.PORT: duplicate key "PORT" (first on line 5)',
                      '7:7: workers.api.critical: duplicate key "critical" (first on line 6)',
                      '9:5: workers.api: duplicate key "api" (first on line 3)'],
    "lease_times": ["8:17: leases.drain_at: ", "9:16: leases.kill_at: "],
    "unreadable_file": ["3:22: postgres.main.dsn: cannot be read: /nonexistent/podvisor/dsn: No such file or directory",
                        "5:25: control.token: needs the environment variable PODVISOR_TEST_UNSET_TOKEN"],
    "dsn": ['3:24: postgres.option.dsn: is refused: libpq knows no option "sslmod" (did you mean "sslmode"?)',
            '4:23: postgres.pairs.dsn: is refused: a word in it has no "="',
            '5:23: postgres.value.dsn: is refused: libpq does not take the value of its option "sslmode"'],
    "empty": ["1:1: the file is empty"],
}


def ask(*words, mark="none", **options):
    return subprocess.run([PODVISOR, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, MARK: mark}, **{"timeout": DEADLINE_S, **options})


def assert_refused(done, path, mistakes):
    assert done.returncode == 78
    lines = (done.stderr or done.stdout).splitlines()
    told = [line for line in lines if line.startswith(f"{path}:")]
    assert len(told) == len(mistakes), lines
    for line, mistake in zip(told, mistakes):
        assert line.startswith(f"{path}:{mistake}")


@pytest.mark.parametrize("name", BROKEN)
def test_check_names_every_mistake_with_line_and_column(name):
    path = FILES / f"{name}.json"
    assert_refused(ask("check", "-c", str(path)), path, BROKEN[name])


@pytest.mark.parametrize("name", BROKEN)
def test_run_refuses_it_with_the_same_words_and_starts_nothing(name, tmp_path):
    path = FILES / f"{name}.json"
    mark = f"refused-{os.getpid()}-{name}"
    done = ask("run", "-c", str(path), mark=mark, cwd=tmp_path)
    assert_refused(done, path, BROKEN[name])
    assert done.stdout == ""
    assert marked_with(mark) == [] and list(tmp_path.iterdir()) == []


def test_a_refused_connection_string_shows_nothing_of_its_password(tmp_path):
    for command in ("check", "run"):
        done = ask(command, "-c", str(FILES / "dsn.json"), cwd=tmp_path)
        assert done.returncode == 78 and "hidden" not in done.stderr + done.stdout


def test_a_worker_beside_a_mistake_is_not_started(tmp_path):
    path, trace = tmp_path / "podvisor.json", tmp_path / "trace"
    path.write_text(json.dumps(workers(good=["touch", str(trace)], bad={"comand": ["true"]})))
    assert ask("run", "-c", str(path)).returncode == 78
    assert not trace.exists()


def test_a_file_that_is_not_there_or_not_a_file_is_refused(tmp_path):
    for path in (tmp_path / "nowhere.json", tmp_path):
        for command in ("check", "run"):
            done = ask(command, "-c", str(path))
            assert done.returncode == 78
            assert str(path) in done.stderr + done.stdout


def test_a_fifo_in_place_of_the_file_does_not_hang(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    done = ask("check", "-c", str(tmp_path / "fifo"), timeout=DEADLINE_S + 60)  # podvisor's own patience is 30 s
    assert done.returncode == 78
    assert "a pipe that does not come to its end" in done.stdout + done.stderr


def test_check_says_nothing_bad_about_a_good_file(tmp_path):
    path = tmp_path / "podvisor.json"
    path.write_text(json.dumps(workers(api=["true"])))
    done = ask("check", "-c", str(path))
    assert done.returncode == 0, done.stderr


CHAIN = {"workers": {"web": {"command": ["true"], "depends_on": ["db"], "stop": {"phase": "after-drain", "timeout": "20s"}},
                     "db": {"command": ["true"], "stop": {"phase": "after-drain", "timeout": "25s"}},
                     "slow": {"command": ["true"], "stop": {"timeout": "2m"}}},
         "gateway": {"listen": "127.0.0.1:8080", "routes": [{"path": "/", "worker": "web", "to": "127.0.0.1:3000"}]}}
WARNINGS = ["workers.db.stop.timeout: warning: it may be killed before its stop.timeout 25s is over: drain 27500ms + web 20s + db 25s = "
            "72500ms (expected to end a second before shutdown.deadline 55s)",
            "workers.slow.stop.timeout: warning: it may be killed before its stop.timeout 2m is over: slow 2m = 2m ",
            "gateway: warning: the drain is shortened: lame_duck, spread and close_timeout take 30s (expected at most 27500ms, "]


@pytest.mark.parametrize("words", [[], ["--json"], ["--print"]])
def test_a_stop_that_does_not_fit_into_the_deadline_is_a_warning(tmp_path, words):
    path = tmp_path / "podvisor.json"
    path.write_text(json.dumps(CHAIN, indent=1))
    done = ask("check", "-c", str(path), *words)
    assert done.returncode == 0
    told = done.stderr.splitlines()
    assert len(told) == len(WARNINGS)
    for line, wanted in zip(told, WARNINGS):
        assert re.match(re.escape(str(path)) + r":\d+:\d+: ", line) and wanted in line
    if words == ["--json"]:
        assert json.loads(done.stdout) == [], "a list of mistakes, of which there is none"


def test_run_and_reload_have_the_warnings_in_the_log(pods):
    pod = pods({**CHAIN, "gateway": {**CHAIN["gateway"], "listen": "127.0.0.1:1"}})
    for warning in WARNINGS:
        pod.log(msg=re.escape(warning), level="warn")
    pod.reload({**CHAIN, "gateway": {**CHAIN["gateway"], "listen": "127.0.0.1:1"}, "log": {"level": "debug"}})
    for warning in WARNINGS:
        pod.log(msg=re.escape(warning), level="warn", count=2)
    assert pod.stop() == 0


@pytest.mark.parametrize("path", ["config/backend.json", "config/demo.json", "tests/fixtures/config/example.json"])
def test_what_podvisor_ships_with_has_no_warnings(path):
    env = {"DATABASE_URL": "postgres://u:p@db/x", "HOSTNAME": "pod-7", "PODVISOR_DEMO_PGBIN": "/usr/bin", "PODVISOR_DEMO_PGUSER": "nobody",
           "PODVISOR_DEMO_DIR": "/tmp/demo", "PODVISOR_DEMO_BACKEND": "/tmp/demo"}
    done = subprocess.run([PODVISOR, "check", "-c", str(ROOT / path)], env={**os.environ, **env}, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_nul_in_a_string_is_named_in_plain_words(tmp_path):
    path = tmp_path / "podvisor.json"
    path.write_text('{ "workers": {\n  "api": { "command": ["a\\u0000b"] } } }')
    done = ask("check", "-c", str(path))
    assert done.returncode == 78
    assert re.match(re.escape(str(path)) + r":2:\d+: a string holds a NUL, written \\u0000 or as it is", done.stderr)


def test_print_fills_in_defaults_and_masks_secrets(tmp_path):
    path, secret = tmp_path / "podvisor.json", tmp_path / "secret"
    secret.write_text("from-a-file-9f3\n")
    config = {**workers(api={"command": ["true"], "env": {"A": "${file:%s}" % secret, "B": "plain"}}),
              "control": {"token": "literal-77x"},
              "postgres": {"main": {"dsn": "postgresql://u:hidden-5k@db/x"}}}
    path.write_text(json.dumps(config))
    done = ask("check", "-c", str(path), "--print")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed["workers"]["api"]["stop"]["timeout"] == "10s"
    assert printed["workers"]["api"]["env"]["B"] == "plain"
    for word in ("from-a-file-9f3", "literal-77x", "hidden-5k"):
        assert word not in done.stdout + done.stderr


def through_a_pipe(text):
    read, write = os.pipe()
    os.write(write, text.encode())
    os.close(write)
    return read


def test_a_configuration_may_come_through_a_pipe(tmp_path):
    secret = through_a_pipe("s3cr\n")
    config = through_a_pipe(json.dumps({"control": {"token": "${file:/dev/fd/%d}" % secret}}))
    done = ask("check", "-c", f"/dev/fd/{config}", "--print", pass_fds=(config, secret))
    os.close(config), os.close(secret)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["control"]["token"] == "***"


@pytest.mark.parametrize("more", [0, 1])
def test_the_largest_file_is_read_and_one_byte_more_is_not(tmp_path, more):
    path = tmp_path / "large.json"
    path.write_text("{}" + " " * ((4 << 20) - 2 + more))
    done = ask("check", "-c", str(path))
    assert done.returncode == (78 if more else 0)
    assert ("larger than 4096 KiB" in done.stdout + done.stderr) == bool(more)


def test_a_secret_with_a_nul_byte_is_refused_and_not_cut(tmp_path):
    path, secret = tmp_path / "c.json", tmp_path / "secret"
    secret.write_bytes(b"half\0other")
    path.write_text('{"control": {"token": "${file:%s}"}}' % secret)
    done = ask("check", "-c", str(path))
    assert done.returncode == 78
    assert f"control.token: cannot be read: {secret}: holds a NUL byte" in done.stdout + done.stderr
    assert "half" not in done.stdout + done.stderr


# ---- reloading ----

def snapshot(pod, *names):
    return {name: pod.tree_of(name) for name in names}


@pytest.mark.parametrize("name", BROKEN)
def test_a_reload_of_a_broken_file_leaves_everything_running_and_says_so(pods, name):
    pod = pods(workers(one=[TREE, "session"], two=[TREE]))
    pod.ready("one"), pod.ready("two")
    pod.log("one", "^ready$", own=False), pod.log("two", "^ready$", own=False)
    before = snapshot(pod, "one", "two")
    seen = len(pod.lines) - 1
    pod.reload((FILES / f"{name}.json").read_text())
    refused = pod.log(msg="^reload refused, the old configuration goes on: ", after=seen, level="error")
    position = re.match(r"\d+:\d+", BROKEN[name][0])[0]
    assert f"{pod.file}:{position}: " in refused.msg
    pod.settle()
    assert pod.find(msg="^(starting|stopping)", after=seen) == []
    assert snapshot(pod, "one", "two") == before
    # and it is not stuck: the next good one is taken
    pod.reload(workers(one=[TREE, "session"], two=[TREE], three=[TREE]))
    pod.ready("three", after=refused)
    assert snapshot(pod, "one", "two") == before
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_every_mistake_of_a_refused_reload_is_in_the_log(pods):
    pod = pods(workers(one=[TREE]))
    pod.ready("one")
    pod.reload((FILES / "wrong_type.json").read_text())
    pod.log(msg="^reload refused")
    pod.settle()
    text = "\n".join(pod.messages())
    for mistake in BROKEN["wrong_type"]:
        assert f"{pod.file}:{mistake}" in text
    assert pod.stop() == 0


def test_a_reload_restarts_only_the_worker_whose_configuration_changed(pods):
    pod = pods(workers(same=[TREE], changed={"command": [TREE], "env": {"A": "1"}}, gone=[TREE], many={"command": [TREE],
                                                                                                    "instances": 2}))
    for name in "same", "changed", "gone", "many.0", "many.1":
        pod.ready(name)
        pod.log(name, "^ready$", own=False)
    kept, gone = snapshot(pod, "same", "many.0", "many.1"), pod.tree_of("gone")
    seen = len(pod.lines) - 1
    pod.reload(workers(same=[TREE], changed={"command": [TREE], "env": {"A": "2"}}, new=[TREE],
                       many={"command": [TREE], "instances": 2}))
    pod.log(msg="^the configuration was read again", after=seen)
    pod.log("changed", "^stopping: its configuration changed", seen)
    changed = pod.ready("changed", after=seen)
    pod.log("changed", "^ready$", seen, own=False)  # the kernel tells of an exec before the environment is to be seen
    pod.ready("new", after=seen)
    pod.log("gone", "^stopped", seen)
    assert b"A=2" in pathlib.Path(f"/proc/{changed}/environ").read_bytes().split(b"\0")
    assert snapshot(pod, "same", "many.0", "many.1") == kept
    assert {line["worker"] for line in pod.find(msg="^(starting|stopping)", after=seen)} == {"changed", "new", "gone"}
    assert not [one for one in gone if one and fields_of(one[0])]
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_a_reload_of_the_same_file_changes_nothing(pods):
    config = workers(one={"command": [TREE], "depends_on": ["two"]}, two=[TREE])
    pod = pods(config)
    pod.ready("one")
    pod.log("one", "^ready$", own=False), pod.log("two", "^ready$", own=False)
    before = snapshot(pod, "one", "two")
    for _ in range(3):
        seen = len(pod.lines) - 1
        pod.reload(config)
        pod.log(msg="^the configuration was read again", after=seen)
    pod.settle()
    assert len(pod.find(msg="^starting")) == 2
    assert snapshot(pod, "one", "two") == before
    assert pod.stop() == 0


def test_the_order_of_keys_means_nothing_to_a_reload(pods):
    pod = pods(workers(one={"command": [TREE], "env": {"A": "1", "B": "2"}, "umask": "022"}, two=[TREE]))
    pod.ready("one"), pod.ready("two")
    pod.reload(workers(two=[TREE], one={"umask": "022", "env": {"B": "2", "A": "1"}, "command": [TREE]}))
    pod.log(msg="^the configuration was read again")
    pod.settle()
    assert len(pod.find(msg="^starting")) == 2
    assert pod.stop() == 0


def test_what_a_running_podvisor_cannot_change_is_refused_with_a_sentence(pods):
    pod = pods(workers(one=[TREE]))
    pod.ready("one")
    pod.reload({**workers(one={"command": [TREE], "env": {"NEW": "1"}}),
                "control": {"listen": "none", "socket": str(pod.path / "other.sock")}})
    assert "control: its addresses cannot change" in pod.log(msg="^reload refused").msg
    pod.settle()
    assert len(pod.find(msg="^starting")) == 1, "a refused reload changes nothing, not even the rest"
    assert pod.stop() == 0


def test_more_and_fewer_instances(pods):
    pod = pods(workers(many={"command": [TREE], "instances": 2}))
    pod.ready("many.0"), pod.ready("many.1")
    pod.reload(workers(many={"command": [TREE], "instances": 4}))
    pod.ready("many.2"), pod.ready("many.3")
    seen = len(pod.lines) - 1
    pod.reload(workers(many={"command": [TREE], "instances": 3}))
    pod.log("many.3", "^stopped", seen)
    pod.settle()
    starts = [line["worker"] for line in pod.find(msg="^starting")]
    assert sorted(starts) == ["many.0", "many.1", "many.2", "many.3"], "who stays is not restarted"
    assert pod.tree_of("many.3") == []
    assert pod.stop() == 0


def test_a_failed_worker_gets_a_new_chance_when_its_configuration_changes(pods):
    pod = pods(workers(one={"command": ["/nonexistent/program"], "restart": {"limit": {"count": 1}}}))
    pod.log("one", "^failed")
    pod.reload(workers(one=[TREE]))
    pod.ready("one")
    assert pod.stop() == 0


def test_reloads_in_a_row_end_with_the_last(pods):
    pod = pods(workers(one={"command": [TREE], "env": {"N": "0"}}))
    pod.ready("one")
    for n in range(1, 20):
        pod.reload(workers(one={"command": [TREE], "env": {"N": str(n)}}))
    pod.reload(workers(one={"command": [TREE], "env": {"N": "last"}}, mark=[TREE]))
    pod.ready("mark")
    pod.settle()

    def n_of():
        for pid, _ in filter(None, pod.tree_of("one")):
            if arguments_of(pid)[:1] == [TREE]:
                return environ_of(pid)
        return []
    # The kernel shows the environment a moment later than podvisor hears of the exec.
    await_true("the last configuration", lambda: b"N=last" in n_of())
    assert pod.stop() == 0
    pod.assert_nothing_left()


def test_a_reload_during_a_stop_does_not_bring_anything_back(pods):
    pod = pods(workers(deaf={"command": [TREE, "deaf"], "stop": {"timeout": "500ms"}}))
    pod.log("deaf", "^ready$", own=False)
    pod.kill()
    stopping = pod.log("deaf", "^stopping: podvisor")
    pod.reload(workers(deaf={"command": [TREE, "deaf"], "env": {"A": "1"}, "stop": {"timeout": "500ms"}}, new=[TREE]))
    assert pod.wait() == 0
    assert pod.find(msg="^starting", after=stopping.index) == []
    pod.assert_nothing_left()


def test_a_signal_for_the_state_prints_it_and_changes_nothing(pods):
    pod = pods(workers(one=[TREE], bad={"command": ["/nonexistent/x"], "restart": {"limit": {"count": 1}}}))
    pid = pod.ready("one")
    pod.log("bad", "^failed")
    seen = len(pod.lines) - 1
    pod.kill(signal.SIGQUIT)
    assert f"state: ready, pid {pid}" in pod.log("one", "^state: ", seen).msg
    assert pod.log("bad", "^state: ", seen).msg.startswith("state: failed: ")  # no process, no pid
    assert pod.stop() == 0


def test_variables_files_and_dollar_signs_reach_the_worker(pods, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("from file\n")
    pod = pods(workers(one={"command": ["printf", "%s|%s|%s|%s", "${GIVEN}", "${MISSING:-other}", "${file:%s}" % secret, "$$HOME"],
                            "kind": "task"}), env={"GIVEN": "given"})
    pod.log("one", "^succeeded")
    assert pod.output("one") == ["given|other|from file|$HOME"]
    assert pod.stop() == 0


def test_the_configuration_may_be_read_from_a_mounted_config_map(pods):
    """Kubernetes swaps a symbolic link; what SIGHUP reads is what it then points to."""
    pod = pods(workers(one=[TREE]))
    pod.ready("one")
    for generation in ("own-a", "own-b"):
        (pod.path / generation).mkdir()
    shutil.copy(pod.file, pod.path / "own-a" / "podvisor.json")
    (pod.path / "own-b" / "podvisor.json").write_text(pod.file.read_text().replace('"one"', '"two"'))
    pod.file.unlink()
    pod.file.symlink_to("own-b/podvisor.json")
    pod.kill(signal.SIGHUP)
    pod.ready("two")
    pod.log("one", "^stopped")
    assert pod.stop() == 0
