"""The gate itself: what the house forbids, planted in a copy of the tree, stops the build with a sentence."""
import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
JOBS = str(os.cpu_count() or 2)


class Tree:
    def __init__(self, path):
        self.path = path

    def make(self, *words):
        env = {k: v for k, v in os.environ.items() if k not in ("SAN", "COVER", "CC", "BUILD", "ONLY", "MAKEFLAGS", "MFLAGS")}
        done = subprocess.run(["make", "-j", JOBS, *words], cwd=self.path, env=env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=500)
        return done.returncode, done.stdout

    def plant(self, file, text):
        """Adds text at the end of a file of the copy, or makes it."""
        with open(self.path / file, "a") as out:
            out.write(text)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the pure rooms, built once; what a test plants in it is taken out again by the fixture tree."""
    path = tmp_path_factory.mktemp("gate") / "tree"
    path.mkdir()
    shutil.copytree(ROOT / "include", path / "include")
    for room in "base", "wire", "model":
        shutil.copytree(ROOT / "supervisor" / room, path / "supervisor" / room)
    for room in "io", "cli":
        (path / "supervisor" / room).mkdir()
    shutil.copytree(ROOT / "tests" / "tools", path / "tests" / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name in "Makefile", "LAYERS", ".clang-tidy", ".clang-format":
        shutil.copy2(ROOT / name, path / name)
    Tree(path).make("layers")  # whether the tree itself passes is the gate's to say; here it is for the objects
    return path


@pytest.fixture
def tree(house):
    tree = Tree(house)
    kept = {}
    plant = tree.plant

    def remembering(file, text):
        at = house / file
        kept.setdefault(at, at.read_bytes() if at.exists() else None)
        plant(file, text)

    tree.plant = remembering
    yield tree
    for at, content in kept.items():
        at.unlink() if content is None else at.write_bytes(content)


def refused(tree, sentence, target="layers"):
    code, text = tree.make(target)
    assert code != 0, f"the gate let it pass:\n{text}"
    assert sentence in text


def test_an_upward_include_is_refused(tree):
    tree.plant("supervisor/wire/notify.c", '#include "podvisor/model/event.h"\n')
    refused(tree, "wire may not include podvisor/model/event.h: it may use base")


def test_model_may_not_look_at_io(tree):
    tree.plant("supervisor/model/worker.c", '#include "podvisor/io/loop.h"\n')
    refused(tree, "model may not include podvisor/io/loop.h: it may use wire, base")


def test_io_may_know_the_events_of_the_model_and_nothing_else_of_it(tree):
    tree.plant("supervisor/io/loop.c", '#include "podvisor/model/event.h"\n#include "podvisor/model/turn.h"\n')
    code, text = tree.make("layers")
    assert code != 0
    assert "io may not include podvisor/model/turn.h" in text
    assert "io may not include podvisor/model/event.h" not in text


def test_libuv_stays_out_of_the_model(tree):
    tree.plant("supervisor/model/planted.c", "#include <uv.h>\nuint64_t planted(uv_loop_t *loop);\n"
               "uint64_t planted(uv_loop_t *loop)\n{\n\treturn uv_now(loop);\n}\n")
    code, text = tree.make("layers")
    assert code != 0
    assert "supervisor/model/planted.c:1: model may not include <uv.h>" in text
    assert "supervisor/model/planted.c calls uv_now(): model is pure" in text


def test_the_model_may_not_ask_what_time_it_is(tree):
    tree.plant("supervisor/model/planted.c", "#include <time.h>\nlong planted(void);\nlong planted(void)\n{\n"
               "\treturn (long)time(NULL);\n}\n")
    refused(tree, "supervisor/model/planted.c calls time(): model is pure")


@pytest.mark.parametrize("room", ["base", "wire", "model"])
@pytest.mark.parametrize("call, header", [
    ('getenv("HOME") != NULL', "stdlib.h"),
    ('printf("%d", 7)', "stdio.h"),
    ("getpid()", "unistd.h"),
])
def test_pure_rooms_touch_neither_environment_nor_output_nor_kernel(tree, room, call, header):
    tree.plant(f"supervisor/{room}/planted.c", f"#include <{header}>\nint planted(void);\nint planted(void)\n{{\n\treturn {call};\n}}\n")
    refused(tree, f"supervisor/{room}/planted.c calls {call.split('(')[0]}(): {room} is pure")


def test_a_checked_call_of_the_c_library_is_seen_through(tree):
    tree.plant("supervisor/wire/planted.c", "#include <unistd.h>\nlong planted(int fd, char *to, unsigned long n);\n"
               "static char place[8];\nlong planted(int fd, char *to, unsigned long n)\n{\n\tto[0] = place[1];\n\treturn read(fd, place, n);\n}\n")
    refused(tree, "supervisor/wire/planted.c calls read(): wire is pure")


@pytest.mark.parametrize("call, header", [('system("true")', "stdlib.h"), ("fork()", "unistd.h")])
def test_nothing_in_podvisor_forks_or_calls_a_shell(tree, call, header):
    tree.plant("supervisor/io/planted.c", f"#include <{header}>\nint planted(void);\nint planted(void)\n{{\n\treturn {call};\n}}\n")
    refused(tree, f"supervisor/io/planted.c calls {call.split('(')[0]}(): nothing in podvisor may")


def test_nothing_in_podvisor_uses_the_process_handles_of_libuv(tree):
    tree.plant("supervisor/io/planted.c", "#include <uv.h>\n"
               "int planted(uv_loop_t *l, uv_process_t *p, const uv_process_options_t *o);\n"
               "int planted(uv_loop_t *l, uv_process_t *p, const uv_process_options_t *o)\n{\n\treturn uv_spawn(l, p, o);\n}\n")
    refused(tree, "supervisor/io/planted.c calls uv_spawn(): nothing in podvisor may")


def test_two_modules_may_not_include_each_other(tree):
    tree.plant("include/podvisor/base/planted_a.h", '#include "podvisor/base/planted_b.h"\n')
    tree.plant("include/podvisor/base/planted_b.h", "")
    tree.plant("supervisor/base/planted_b.c", '#include "podvisor/base/planted_a.h"\nextern int planted;\n')
    refused(tree, "the modules base/planted_a, base/planted_b include each other")


def test_a_port_library_stays_in_its_room(tree):
    tree.plant("supervisor/cli/planted.c", "#include <libpq-fe.h>\n")
    refused(tree, "supervisor/cli/planted.c:1: cli may not include <libpq-fe.h>: it belongs to io")


def test_an_include_names_its_room(tree):
    tree.plant("supervisor/base/planted.c", '#include "../../include/podvisor/base/buf.h"\n')
    refused(tree, 'write "../../include/podvisor/base/buf.h" as "podvisor/ROOM/MODULE.h"')


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_a_warning_stops_the_build(tree, compiler):
    if not shutil.which(compiler):
        pytest.skip(f"{compiler} is not installed")
    tree.plant("supervisor/base/planted.c", "int planted(void);\nint planted(void)\n{\n\tint unused = 7;\n\treturn 0;\n}\n")
    code, text = tree.make(f"CC={compiler}", f"BUILD=build-{compiler}", f"build-{compiler}/libbase.a")
    assert code != 0
    assert "unused variable" in text and "supervisor/base/planted.c:4" in text


def test_a_file_out_of_shape_is_named(tree):
    if not shutil.which("clang-format"):
        pytest.skip("clang-format is not installed")
    tree.plant("supervisor/base/planted.c", "int planted( void ) ;\n")
    refused(tree, "supervisor/base/planted.c:1", "format-check")


def test_a_defect_that_the_compilers_miss_is_found_by_tidy(tree):
    if not shutil.which("clang-tidy"):
        pytest.skip("clang-tidy is not installed")
    tree.plant("supervisor/base/planted.c", "#include <stdlib.h>\n#include <string.h>\nint planted(const char *s);\n"
               "int planted(const char *s)\n{\n\tchar *copy = strdup(s);\n\tif (!copy)\n\t\treturn -1;\n"
               "\tint first = copy[0];\n\tif (first == 'x')\n\t\treturn 1;\n\tfree(copy);\n\treturn first;\n}\n")
    refused(tree, "Potential leak of memory pointed to by 'copy'", "build/tidy/base/planted.ok")


def test_the_tests_of_the_model_cannot_reach_libuv(tree):
    (tree.path / "tests/unit/model").mkdir(parents=True, exist_ok=True)
    tree.plant("tests/unit/model/planted_test.c", "#include <uv.h>\nint main(void)\n{\n\treturn uv_default_loop() == NULL;\n}\n")
    refused(tree, "undefined reference to `uv_default_loop'", "build/tests/unit/model/planted_test")
