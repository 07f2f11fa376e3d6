"""Processes of the bench: started, watched, measured and ended, all by pid.

The driver is a subreaper: whatever a supervisor leaves behind becomes its own child, is counted and then killed. So
nothing is ever looked up by name, and two benches can run side by side.
"""
import ctypes
import os
import select
import signal
import struct
import time

EXEC, WORKER, DAEMON, BEGIN, END = range(5)  # enum stamp_kind
RECORD = struct.Struct("=qii")
PR_SET_CHILD_SUBREAPER = 36
_roots = set()  # what we started and have not waited for


class TooSlow(Exception):
    """Something that is measured did not happen in its time."""


def adopt_orphans():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the bench cannot become a subreaper")


def spawn(argv, stdin=None, stdout=None, stderr=None, env=None):
    """stdin, stdout, stderr: descriptors; None: /dev/null. Returns the pid."""
    actions = []
    for fd, source in enumerate((stdin, stdout, stderr)):
        if source is None:
            actions.append((os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, source, fd))
    pid = os.posix_spawnp(argv[0], argv, env if env is not None else os.environ, file_actions=actions, setsid=True,
                          setsigdef=[signal.SIGPIPE, signal.SIGXFSZ])
    _roots.add(pid)
    return pid


def wait(pid):
    """Its resource usage, when it has ended."""
    _, _, usage = os.wait4(pid, 0)
    _roots.discard(pid)
    return usage


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def descendants(pid):
    found = []
    for child in children(pid):
        found.append(child)
        found += descendants(child)
    return found


def kill(pid, number=signal.SIGKILL):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def adopted():
    """What became our child without our having started it."""
    return [pid for pid in children(os.getpid()) if pid not in _roots]


def end(root):
    """Kills what we started and everything of it; returns when none of it is there."""
    if root in _roots:
        kill(root)
        wait(root)
    while orphans := adopted():
        for pid in orphans:
            kill(pid)
        for pid in orphans:
            os.waitpid(pid, 0)


def end_all():
    for pid in list(_roots):
        end(pid)
    end(0)


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except OSError:
        return ""


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def cpu_ns(pid):
    """CPU time used so far (clock_getcpuclockid(3)); 0 when it is gone."""
    try:
        return time.clock_gettime_ns((~pid << 3) | 2)
    except OSError:
        return 0


def _field_kib(path, field):
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(field):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def private_kib(pids):
    """Memory that nobody shares and no file backs: the robust figure (PSS is flattered by neighbours)."""
    return sum(_field_kib(f"/proc/{pid}/smaps_rollup", "Private_Dirty:") for pid in pids)


def rss_kib(pid):
    return _field_kib(f"/proc/{pid}/status", "VmRSS:")


def switches(pids):
    """Context switches of all their threads so far."""
    total = 0
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            path = f"/proc/{pid}/task/{task}/status"
            total += _field_kib(path, "voluntary_ctxt_switches:") + _field_kib(path, "nonvoluntary_ctxt_switches:")
    return total


def settle(pid, seconds=10):
    """Returns when it has used no CPU for a tenth of a second."""
    limit = time.monotonic() + seconds
    before = -1
    while before != (before := cpu_ns(pid)) and time.monotonic() < limit:
        time.sleep(0.1)


class Stamps:
    """The FIFO into which programs stamp what happened (stamp.h)."""

    def __init__(self, path):
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.rest = b""
        self.ready = select.poll()
        self.ready.register(self.fd, select.POLLIN)
        self.unread = []

    def _fill(self, seconds):
        if not self.ready.poll(max(seconds, 0) * 1000):
            return
        data = self.rest + os.read(self.fd, 65536)
        whole = len(data) - len(data) % RECORD.size
        self.unread += list(RECORD.iter_unpack(data[:whole]))
        self.rest = data[whole:]

    def take(self, kind, count=1, seconds=60):
        """The next count stamps of that kind, as (ns, pid)."""
        limit = time.monotonic() + seconds
        while sum(stamp[2] == kind for stamp in self.unread) < count:
            left = limit - time.monotonic()
            if left <= 0:
                raise TooSlow(f"{sum(stamp[2] == kind for stamp in self.unread)} of {count} stamps after {seconds} s")
            self._fill(left)
        found, kept = [], []
        for stamp in self.unread:
            if stamp[2] == kind and len(found) < count:
                found.append((stamp[0], stamp[1]))
            else:
                kept.append(stamp)
        self.unread = kept
        return found

    def close(self):
        os.close(self.fd)


class Endings:
    """When each of some processes ends, whoever their parent is."""

    def __init__(self, pids):
        self.fds, self.at_ns = {}, {}
        self.poll = select.poll()
        for pid in pids:
            try:
                fd = os.pidfd_open(pid)
            except ProcessLookupError:
                self.at_ns[pid] = time.monotonic_ns()
                continue
            self.fds[fd] = pid
            self.poll.register(fd, select.POLLIN)

    def kill(self):
        for fd in self.fds:
            signal.pidfd_send_signal(fd, signal.SIGKILL)

    def wait(self, limit_ns, until=lambda: False):
        """Until all have ended, or the condition holds, or that time is reached."""
        while self.fds and not until():
            left = limit_ns - time.monotonic_ns()
            if left <= 0:
                break
            for fd, _ in self.poll.poll(left / 1e6):
                self.at_ns[self.fds.pop(fd)] = time.monotonic_ns()
                self.poll.unregister(fd)
                os.close(fd)
        return len(self.fds)

    def close(self):
        for fd in self.fds:
            os.close(fd)
