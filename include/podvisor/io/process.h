/* process owns the running of one command with everything it starts: it spawns a
 * shim (see wire/shim.h), speaks with it, and when the shim itself dies by violence
 * it takes over and kills what was left.
 *
 *   idle ──process_spawn──► starting ──on_started──► running ──on_exited──► ending ──on_gone──► idle
 *                              └────────on_exec_failed────────────────────────────────────────►
 *
 * After a spawn that returned 0 there is exactly one last call, on_exec_failed or
 * on_gone; then nothing of it runs any more, not even the shim, and the struct may
 * be used again or freed, also inside that call. on_gone comes only after on_exited,
 * on_exited only after on_started. No call is made inside process_spawn,
 * process_signal or process_kill. Only the main thread may spawn: a shim is tied to
 * the life of the thread that made it (prctl(2), PR_SET_PDEATHSIG). */
#ifndef PODVISOR_IO_PROCESS_H
#define PODVISOR_IO_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "podvisor/base/err.h"
#include "podvisor/base/list.h"
#include "podvisor/io/orphans.h"
#include "podvisor/io/reaper.h"
#include "podvisor/wire/shim.h"

#define PROCESS_INHERIT    INT_MIN
#define PROCESS_GROUPS_MAX 1024
/* A shim that has been told to kill has this long to answer that it does. */
#define PROCESS_ANSWER_MS 2000

/* What to run. Borrowed for the length of process_spawn only. Begin with
 * PROCESS_SPEC, which inherits everything from podvisor. */
struct process_spec {
	const char *name; /* of the worker; shows in ps and, when the environment has none, as PODVISOR_WORKER */
	char *const *argv; /* NULL-terminated; argv[0] without a slash is searched in env's PATH */
	char *const *env; /* NULL-terminated, complete: nothing of podvisor's own is added but PODVISOR_WORKER */
	const char *cwd; /* NULL: podvisor's; entered as the worker's user */
	int64_t uid, gid; /* -1: podvisor's */
	const gid_t *groups; /* supplementary; with uid set and NULL here: none */
	size_t n_groups; /* at most PROCESS_GROUPS_MAX */
	int umask, nice, oom_score_adj; /* PROCESS_INHERIT */
	int64_t open_files, core_bytes, cpu_seconds; /* rlimits; -1: inherit */
	int stdio[3]; /* stay the caller's, who closes them after the spawn; -1: /dev/null */
	int64_t deadline; /* CLOCK_BOOTTIME in ms, at which its shim kills it by itself; INT64_MAX: none */
	int ignore; /* a signal that it begins with ignored; 0: none */
	bool terminal; /* stdio[0], if it is a free terminal, becomes its controlling one; see io/terminal.h */
	int extra_fds[2]; /* become 3 and 4 of the worker (Chrome's control pipe); both -1: none */
};

/* The initialiser of a spec to which only argv, env and name must be added. */
#define PROCESS_SPEC                                                                                     \
	{                                                                                                \
		.uid = -1, .gid = -1, .umask = PROCESS_INHERIT, .nice = PROCESS_INHERIT,                 \
		.oom_score_adj = PROCESS_INHERIT, .open_files = -1, .core_bytes = -1, .cpu_seconds = -1, \
		.stdio = {-1, -1, -1}, .extra_fds = {-1, -1}, .deadline = INT64_MAX,                     \
	}

struct process_exit {
	int status; /* as waitpid gives it */
	int64_t cpu_us, peak_bytes; /* of the main process and the children it waited for */
	bool shim_killed; /* the shim died first; status may then be invented: killed by SIGKILL */
};

struct process;

struct process_port {
	uv_loop_t *loop;
	struct reaper *reaper;
	const char *shim_path; /* borrowed */
	void *ctx; /* the first argument of each call */
	/* The command is being executed (exec has succeeded). */
	void (*on_started)(void *ctx, struct process *p, pid_t pid);
	/* It is not, and never will be: error is a negative errno, step says in what.
	 * -ECHILD in SHIM_STEP_SHIM: the shim itself was killed before it could tell. */
	void (*on_exec_failed)(void *ctx, struct process *p, int error, enum shim_step step);
	/* The main process ended; what else it started is being killed. */
	void (*on_exited)(void *ctx, struct process *p, const struct process_exit *end);
	/* Nothing is left; killed: processes beside the main one that had to be. */
	void (*on_gone)(void *ctx, struct process *p, int killed);
	struct list live; /* set by process_port_init */
};

struct process {
	void *data; /* the owner's; never touched here */
	/* The rest is process's own; zeroed before the first spawn. */
	struct process_port *port; /* NULL: idle */
	struct list node; /* in port->live */
	struct reaper_child shim, main;
	struct orphans orphans;
	uv_poll_t poll;
	uv_timer_t answer;
	uint64_t since_ticks;
	pid_t pid; /* main process; 0: not started, or ended */
	int control; /* -1: closed */
	int error; /* positive errno of SHIM_FAILED */
	int killed;
	enum shim_step step;
	unsigned closing; /* handles still to be closed */
	bool started, exited, gone, failed, shim_died, killing, answered, ending;
};

/* All fields but live are set by the caller and stay. */
void process_port_init(struct process_port *port);
/* Lets go of every live process without another call: their control sockets close,
 * so the shims kill their trees on their own. The structs must live until the
 * loop has turned once more. */
void process_port_fini(struct process_port *port);

/* Starts a shim for the command. p is idle. Returns at once; whether the command
 * could be executed is told by a call. Takes about as long whatever the size of
 * podvisor (posix_spawn(3) shares the memory instead of copying it).
 * -EAGAIN, -ENOMEM, -EMFILE: try later; -ENOENT: no shim; -E2BIG, -EINVAL. */
int process_spawn(
	struct process_port *port, struct process *p, const struct process_spec *spec, struct err *err) MUST_CHECK;
/* A signal to the main process only. -ESRCH when it has ended, -EAGAIN when the
 * shim takes no more requests. */
int process_signal(struct process *p, int signum);
/* Another process of it is the main one from now on: its end is the run's end, and
 * signals go to it. It must descend from the shim (ancestry_of). What is asked before the old one ends counts, and so
 * does what is asked before on_started, which then tells of this one. */
void process_follow(struct process *p, pid_t pid);
/* Moves the deadline that it was started with; INT64_MAX: none any more. One that has passed is not moved back: the
 * shim is killing. A request that does not arrive leaves the earlier one. */
int process_set_deadline(struct process *p, int64_t at_ms);
/* SIGKILL to everything it started, until nothing is left. Cannot fail: a shim
 * that does not answer is killed and its worker's processes after it. Harmless
 * when repeated or idle. */
void process_kill(struct process *p);
/* The main process; 0 before on_started and after on_exited. */
pid_t process_pid(const struct process *p);
/* The shim; 0 when idle. Every process of the worker descends from it. */
pid_t process_shim_pid(const struct process *p);

/* Finds podvisor-shim: $PODVISOR_SHIM, else beside the running binary, else in
 * ../libexec/podvisor/. -ENOENT with a sentence when none is executable. */
int process_find_shim(char *buf, size_t size, struct err *err) MUST_CHECK;

#endif
