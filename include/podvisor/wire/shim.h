/* shim owns the language between podvisor and the tiny program that stands
 * between it and each worker: fixed-size records on one SOCK_SEQPACKET socket,
 * whose boundaries are the kernel's. Both ends come from one build and run on
 * one machine, so the records are plain structs in the machine's byte order.
 *
 *   podvisor                         shim                      worker
 *      │ ── spawn, argv, environment ──►│ ── vfork, exec ────────►│
 *      │ ◄──────────────── STARTED pid ─│                         │
 *      │ ── SIGNAL n ──────────────────►│ ── kill(main, n) ──────►│
 *      │ ── FOLLOW pid ────────────────►│  another process is the main one
 *      │ ◄─────────────── EXITED status ─│ ◄──────── main ends ────│
 *      │ ── DEADLINE time ─────────────►│  until then the lease that it runs under holds for sure
 *      │ ── KILL ──────────────────────►│  (also by itself when main ended, when the
 *      │ ◄───────────────────── KILLING ─│   deadline passed, and when podvisor is gone)
 *      │ ◄───────────────── GONE killed ─│  no descendant is left; exits 0
 *
 * Instead of STARTED there may be FAILED, which is then the only report. */
#ifndef PODVISOR_WIRE_SHIM_H
#define PODVISOR_WIRE_SHIM_H

#include <stdint.h>

enum shim_verb {
	SHIM_SIGNAL = 1, /* value: signal, sent to the main process only */
	SHIM_KILL, /* SIGKILL to the whole tree until it is empty; may be repeated, each one is answered */
	SHIM_FOLLOW, /* value: pid of a descendant that is the main process from now on */
	SHIM_DEADLINE, /* value: CLOCK_BOOTTIME in ms at which the shim kills by itself; INT64_MAX: never */
};

struct shim_request {
	uint32_t verb; /* enum shim_verb; others are ignored */
	uint32_t reserved; /* 0 */
	int64_t value;
};

enum shim_kind {
	SHIM_STARTED = 1, /* pid */
	SHIM_FAILED, /* error, step: the worker's program does not run */
	SHIM_EXITED, /* pid, status, cpu_us, peak_bytes: the main process; the rest of the tree may still be there */
	SHIM_KILLING, /* the answer to SHIM_KILL: I heard, and I am at it */
	SHIM_GONE, /* killed: nothing of the tree is left */
};

/* What was being done when a start failed. X(enumerator, for people) */
#define SHIM_STEPS(X)                                      \
	X(SHIM_STEP_SHIM, "prepare the start")             \
	X(SHIM_STEP_DEADLINE, "begin before its deadline") \
	X(SHIM_STEP_FORK, "create a process")              \
	X(SHIM_STEP_SESSION, "begin a session of its own") \
	X(SHIM_STEP_OOM_SCORE, "set oom_score_adj")        \
	X(SHIM_STEP_NICE, "set nice")                      \
	X(SHIM_STEP_OPEN_FILES, "limit open files")        \
	X(SHIM_STEP_CORE, "limit core files")              \
	X(SHIM_STEP_CPU, "limit CPU seconds")              \
	X(SHIM_STEP_GROUPS, "take its groups")             \
	X(SHIM_STEP_GID, "take its group")                 \
	X(SHIM_STEP_UID, "become its user")                \
	X(SHIM_STEP_CWD, "enter its working directory")    \
	X(SHIM_STEP_PARENT, "tie its life to the shim's")  \
	X(SHIM_STEP_EXEC, "execute its command")

enum shim_step {
#define SHIM_ENUM(id, text) id,
	SHIM_STEPS(SHIM_ENUM)
#undef SHIM_ENUM
		SHIM_STEP_COUNT
};

struct shim_report {
	uint32_t kind; /* enum shim_kind */
	uint32_t step; /* FAILED: enum shim_step */
	int32_t pid;
	int32_t status; /* EXITED: as waitpid gives it */
	int32_t error; /* FAILED: errno, positive */
	int32_t killed; /* GONE: processes beside the main one that had to be killed */
	int64_t cpu_us; /* EXITED: user and system time of main and of the children it waited for */
	int64_t peak_bytes; /* EXITED: largest resident size of any one of those */
};

/* "execute its command" and the like, to follow "cannot "; never NULL. */
const char *shim_step_text(uint32_t step);

#endif
