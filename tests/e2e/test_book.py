"""The examples of the book are what they say they are."""
import json
import os
import re
import subprocess

import pytest

from supervised import DEADLINE_S, PODVISOR, ROOT, built, pods, workers

pytestmark = built

PAGE = "docs/from-supervisord-and-tini.md"
SETTINGS = {"DATABASE_URL": "postgres://db/backend"}


def blocks(page, language):
    """(line, text) of each fenced block of that language."""
    text = (ROOT / page).read_text()
    return [(text.count("\n", 0, found.start()) + 1, found[1])
            for found in re.finditer(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)]


def wholes():
    """Every whole configuration of the book, with its place."""
    for page in ("README.md", PAGE):
        for line, text in blocks(page, "json"):
            yield pytest.param(text, id=f"{page}:{line}")


@pytest.mark.parametrize("text", wholes())
def test_every_whole_configuration_is_taken_by_check(tmp_path, text):
    file = tmp_path / "podvisor.json"
    file.write_text(text)
    done = subprocess.run([PODVISOR, "check", "-c", str(file)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=DEADLINE_S, env={**os.environ, **SETTINGS})
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{file}: ok\n", "")


def test_the_page_about_others_has_an_example_for_each_of_them():
    assert len(blocks(PAGE, "json")) >= 8


@pytest.mark.parametrize("page", ["README.md", PAGE])
def test_the_commands_of_the_book_are_there(page):
    text = (ROOT / page).read_text()
    told = {words for words in re.findall(r"\bpodvisor ([a-z]+)\b(?! is| has| itself)", "\n".join(code_of(text)))}
    asked = subprocess.run([PODVISOR, "help", "--json"], stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE_S)
    known = {command["name"] for command in json.loads(asked.stdout)["commands"]}
    assert told and told <= known


def code_of(text):
    """What stands in backquotes, and in the blocks of a shell."""
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)


def test_links_lead_somewhere():
    for page in (ROOT / "docs").glob("*.md"):
        for target, anchor in re.findall(r"\]\(([\w./-]+\.md)?(#[\w-]+)?\)", page.read_text()):
            there = page.parent / target if target else page
            assert there.exists(), f"{page.name}: {target}"
            heads = {"#" + re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-")
                     for head in re.findall(r"^#+ (.*)$", there.read_text(), re.M)}
            assert not anchor or anchor in heads, f"{page.name}: {target}{anchor}"


def test_the_env_file_of_the_book_gives_what_is_said_of_it(pods, tmp_path):
    file = tmp_path / "env"
    file.write_text(next(text for _, text in blocks("docs/workers.md", "sh") if "DATABASE_URL" in text))
    names = ["DATABASE_URL", "TZ", "GREETING", "QUOTED", "EMPTY"]
    script = "import json, os, sys; print(json.dumps({'seen': {name: os.environ.get(name) for name in sys.argv[1:]}}))"
    pod = pods(workers(one={"command": ["/usr/bin/python3", "-c", script, *names], "kind": "task", "env_files": [str(file)]}))
    pod.log("one", "^succeeded")
    seen = next(line["seen"] for line in pod.lines if "seen" in line)
    assert seen == {"DATABASE_URL": "postgres://db/backend", "TZ": "Europe/Berlin", "EMPTY": "",
                    "GREETING": '"two words"          # no: this belongs to the value, quotes and all',
                    "QUOTED": "kept as it is: $HOME, \\n"}
    assert pod.stop() == 0
