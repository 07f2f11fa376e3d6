#!/usr/bin/python3
"""Stands in for helm, kubectl, doctl and curl under their names: writes down what it was asked, answers by rules, and
remembers what its answers have made.

$STUB/rules.json is a list of {"match": pattern of the command line, "out": text, "code": 0, "makes": name, "when": name, "unless": name,
"times": n}; the first that fits answers, and a command that none fits succeeds in silence. $STUB/asked gets a JSON line for each.
"""
import json
import os
import pathlib
import re
import sys

at = pathlib.Path(os.environ["STUB"])
words = [os.path.basename(sys.argv[0]), *sys.argv[1:]]
stdin = sys.stdin.read() if "-" in words else ""
with open(at / "asked", "a") as asked:
    asked.write(json.dumps({"words": words, "stdin": stdin}) + "\n")
state_file = at / "state.json"
state = json.loads(state_file.read_text()) if state_file.exists() else {}
line = " ".join(words)
for i, rule in enumerate(json.loads((at / "rules.json").read_text())):
    if not re.search(rule["match"], line) or "when" in rule and rule["when"] not in state or rule.get("unless") in state:
        continue
    used = state.get(f"#{i}", 0)
    if used >= rule.get("times", 1 << 30):
        continue
    state[f"#{i}"] = used + 1
    if "makes" in rule and not rule.get("code"):
        state[rule["makes"]] = True
    state_file.write_text(json.dumps(state))
    sys.stdout.write(rule.get("out", ""))
    if rule.get("code"):
        sys.stderr.write(f"{words[0]}: {rule.get('err', 'no')}\n")
    sys.exit(rule.get("code", 0))
