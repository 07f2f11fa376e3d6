"""What deploy/dns and deploy/preview share: doctl, and how they end."""
import json
import pathlib
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
OK, FAILED, USAGE, MISSING = 0, 1, 64, 69


class Failure(Exception):
    """A sentence for people, and the code to end with."""

    def __init__(self, sentence, code=FAILED):
        super().__init__(sentence)
        self.code = code


class NotFound(Failure):
    pass


def doctl(*words, stdin=None):
    """doctl's answer as a Python value. It has the token from its environment and tries again by itself what can be tried again
    (429 with its Retry-After, 5xx)."""
    if not shutil.which("doctl"):
        raise Failure("doctl is not installed", MISSING)
    done = subprocess.run(["doctl", *words, "--output", "json"], input=stdin, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return json.loads(done.stdout) if done.stdout.strip() else None
    # With --output json doctl tells its errors on stdout, as JSON; without a token on stderr, as text.
    said = " ".join((done.stderr + " " + done.stdout).split())
    what = f"doctl {' '.join(words[:4])}"
    if " 404 " in said or "not found" in said.lower():
        raise NotFound(f"{what}: {said}")
    if " 401 " in said or "access token is required" in said:
        raise Failure(f"{what}: DigitalOcean does not accept the token; set DIGITALOCEAN_ACCESS_TOKEN to one that is valid and may do this")
    raise Failure(f"{what} failed: {said[:500]}")


class Doer:
    """Carries out what changes something, or says what it would be."""

    def __init__(self, dry_run):
        self.dry_run = dry_run

    def change(self, *words, stdin=None):
        if self.dry_run:
            print("would run: " + shlex.join(["doctl", *words]))
            return None
        return doctl(*words, stdin=stdin)


def end(name, main):
    """Runs main and ends the program as it says."""
    try:
        sys.exit(main() or OK)
    except Failure as failure:
        print(f"{name}: {failure}", file=sys.stderr)
        sys.exit(failure.code)
