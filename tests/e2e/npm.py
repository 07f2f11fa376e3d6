"""What npm installs for programs of the tests, as locked."""
import fcntl
import os
import shutil
import subprocess

import supervised

BUILD = supervised.FIXTURES.parent


def installed(directory):
    """node_modules for a directory with a package-lock.json; made once for each build."""
    place = BUILD / directory.name
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, stamp = (directory / "package-lock.json").read_text(), place / "installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in "package.json", "package-lock.json", ".npmrc":
                shutil.copy(directory / name, place)
            done = subprocess.run(["npm", "ci", "--prefer-offline", "--loglevel=error"], cwd=place, capture_output=True,
                                  text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            stamp.write_text(wanted)
    return place / "node_modules"


def run(modules, script, *words, seconds=120):
    """The body of an async function in Node.js that has words; its result, as JSON."""
    text = ("const [...words] = process.argv.slice(1);"
            f"(async () => {{ {script} }})().then(v => {{ console.log(JSON.stringify(v ?? null)); process.exit(0); }},"
            "e => { console.error(e); process.exit(1); });")
    return subprocess.run(["node", "-e", text, *words], capture_output=True, text=True, timeout=seconds, check=False,
                          env={**os.environ, "NODE_PATH": str(modules)})
