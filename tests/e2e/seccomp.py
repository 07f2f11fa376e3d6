"""Runs a command under a seccomp profile as a container's runtime puts it in force: python seccomp.py PROFILE COMMAND...

The profile is JSON as Kubernetes takes it; libseccomp makes the filter of it. --plain takes from it what
Chrome's sandbox needs, which leaves what the runtime's own default profile allows."""
import ctypes
import json
import os
import pathlib
import sys

ACTIONS = {"SCMP_ACT_ALLOW": 0x7FFF0000, "SCMP_ACT_ERRNO": 0x00050000}
OPERATORS = {"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4, "SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6,
             "SCMP_CMP_MASKED_EQ": 7}
ANY_NAMESPACE = 0x7E020000
LIBRARY = "libseccomp.so.2"


class Comparison(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


def is_there():
    try:
        return ctypes.CDLL(LIBRARY) is not None
    except OSError:
        return False


def plain(profile):
    """Without namespaces."""
    kept = [e for e in profile["syscalls"] if not {"unshare", "chroot"} & set(e["names"])]
    for entry in kept:
        if entry["names"] == ["clone"]:
            entry["args"] = [{"index": 0, "value": ANY_NAMESPACE, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]
    return {**profile, "syscalls": kept}


def action(name, errno):
    return ACTIONS[name] | (errno if name == "SCMP_ACT_ERRNO" else 0)


def enforce(profile):
    library = ctypes.CDLL(LIBRARY)
    library.seccomp_init.restype = ctypes.c_void_p
    default_errno = profile.get("defaultErrnoRet", 1)
    context = ctypes.c_void_p(library.seccomp_init(action(profile["defaultAction"], default_errno)))
    for entry in profile["syscalls"]:
        what = action(entry["action"], entry.get("errnoRet", default_errno))
        comparisons = [Comparison(a["index"], OPERATORS[a["op"]], a["value"], a.get("valueTwo", 0)) for a in entry.get("args", [])]
        array = (Comparison * len(comparisons))(*comparisons)
        for name in entry["names"]:
            number = library.seccomp_syscall_resolve_name(name.encode())
            if number < 0:
                continue  # this architecture, or this library, does not know it
            rc = library.seccomp_rule_add_array(context, what, number, len(comparisons), array)
            if rc != 0:
                raise OSError(-rc, f"{name}: {os.strerror(-rc)}")
    rc = library.seccomp_load(context)
    if rc != 0:
        raise OSError(-rc, f"the filter is not taken: {os.strerror(-rc)}")


def main():
    words = sys.argv[1:]
    less = words[0] == "--plain"
    file, *command = words[less:]
    profile = json.loads(pathlib.Path(file).read_text())
    enforce(plain(profile) if less else profile)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
