"""Runs a script of deploy/ with stubs (stub.py) in place of the cloud's commands, and tells what they were asked."""
import json
import os

import charts

STUB = charts.ROOT / "tests/deploy/stub.py"
COMMANDS = "helm", "kubectl", "doctl", "curl"


class Stubs:
    def __init__(self, directory, rules):
        self.at = directory
        (directory / "bin").mkdir()
        for name in COMMANDS:
            (directory / "bin" / name).symlink_to(STUB)
        self.rules(rules)

    def rules(self, rules):
        (self.at / "rules.json").write_text(json.dumps(rules))

    def run(self, script, *words, env=None):
        return charts.run(charts.ROOT / "deploy" / script, *words, env={
            "PATH": f"{self.at / 'bin'}:{os.environ['PATH']}", "STUB": str(self.at), **(env or {})})

    def asked(self, forget=True):
        """Every command since the last time, as its words; `stdin` has what it read."""
        file = self.at / "asked"
        lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        if forget:
            file.unlink(missing_ok=True)
        return lines

    def lines(self):
        return [" ".join(asked["words"]) for asked in self.asked()]
