/* plan owns the list of effects: what the runtime has to do now, each with its
 * reason, and when to look again at the latest. The pure model writes it, the
 * runtime carries it out; nothing else starts, stops, mounts or closes. */
#ifndef PODVISOR_MODEL_PLAN_H
#define PODVISOR_MODEL_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/model/event.h"

/* X(enumerator, name, who carries it out) */
#define EFFECT_KINDS(X)                                                                                    \
	X(EFFECT_WORKER_SPAWN, "worker-spawn") /* slot, run */                                             \
	X(EFFECT_WORKER_SIGNAL, "worker-signal") /* slot, run, value: signal to the main process */        \
	X(EFFECT_WORKER_KILL, "worker-kill") /* slot, run: SIGKILL to the whole tree */                    \
	X(EFFECT_WORKER_CHECK, "worker-check") /* slot, run, value: enum probe */                          \
	X(EFFECT_WORKER_FOLLOW, "worker-follow") /* slot, run, value: pid, the main process now */         \
	X(EFFECT_WORKER_DEADLINE, "worker-deadline") /* slot, run, value: the shim kills by itself then */ \
	X(EFFECT_WORKER_ACTIVATE, "worker-activate") /* slot, run: it stood by, and its lease is held */   \
	X(EFFECT_WORKER_PROGRESS, "worker-progress") /* slot, run: ask progress.sql */                     \
	X(EFFECT_WORKER_MEASURE, "worker-measure") /* slot, run: the memory of its tree */                 \
	X(EFFECT_WORKER_INSPECT, "worker-inspect") /* slot, run: stacks to the log, and why */             \
	X(EFFECT_WORKER_STOP_COMMAND, "worker-stop-command") /* slot, run */                               \
	X(EFFECT_VOLUME_PREPARE, "volume-prepare")                                                         \
	X(EFFECT_VOLUME_MEASURE, "volume-measure")                                                         \
	X(EFFECT_VOLUME_PURGE, "volume-purge") /* a slice; value: bytes to free, or 0 */                   \
	X(EFFECT_VOLUME_CANCEL, "volume-cancel") /* what is under way ends early, and is answered */       \
	X(EFFECT_VOLUME_RELEASE, "volume-release")                                                         \
	X(EFFECT_MEMORY_MEASURE, "memory-measure") /* the pod's cgroup */                                  \
	X(EFFECT_MEMORY_WEIGH, "memory-weigh") /* the memory of every worker's tree */                     \
	X(EFFECT_POSTGRES_CHECK, "postgres-check") /* connects first when there is no session; run */      \
	X(EFFECT_POSTGRES_CANARY, "postgres-canary") /* fresh connection */                                \
	X(EFFECT_POSTGRES_CLOSE, "postgres-close")                                                         \
	X(EFFECT_LEASE_ASK, "lease-ask") /* slot, run: number; the orders stand in the book */             \
	X(EFFECT_LEASE_MEET, "lease-meet") /* value: this replica leaves */                                \
	X(EFFECT_BROWSER_LAUNCH, "browser-launch") /* slot, run */                                         \
	X(EFFECT_BROWSER_PROBE, "browser-probe") /* slot, run, value: enum rung */                         \
	X(EFFECT_BROWSER_SERVE, "browser-serve") /* it is proven: new sessions go to it */                 \
	X(EFFECT_BROWSER_RETIRE, "browser-retire") /* new sessions do not go to it any more */             \
	X(EFFECT_BROWSER_CLOSE, "browser-close") /* Browser.close over the pipe */                         \
	X(EFFECT_BROWSER_SIGNAL, "browser-signal") /* value: signal */                                     \
	X(EFFECT_BROWSER_KILL, "browser-kill") /* whole tree */                                            \
	X(EFFECT_BROWSER_CLEAN, "browser-clean") /* remove the generation's directory */                   \
	X(EFFECT_GATEWAY_LISTEN, "gateway-listen")                                                         \
	X(EFFECT_GATEWAY_LAME_DUCK, "gateway-lame-duck")                                                   \
	X(EFFECT_GATEWAY_SERVE, "gateway-serve") /* undrain */                                             \
	X(EFFECT_GATEWAY_DRAIN, "gateway-drain") /* value: ms that the window of Closes may take */        \
	X(EFFECT_GATEWAY_HURRY, "gateway-hurry") /* what is left of the window is skipped */               \
	X(EFFECT_GATEWAY_CLOSE, "gateway-close") /* at once, and always answered */                        \
	X(EFFECT_EXIT, "exit") /* value: exit code */

enum effect_kind {
#define EFFECT_ENUM(id, name) id,
	EFFECT_KINDS(EFFECT_ENUM)
#undef EFFECT_ENUM
		EFFECT_KIND_COUNT
};

const char *effect_name(enum effect_kind kind);

struct effect {
	enum effect_kind kind;
	uint32_t slot;
	uint64_t run;
	int64_t value;
	char reason[128];
};

struct plan {
	struct effect *effects; /* owned */
	size_t count, cap;
	ms_t wake_at; /* look again then, if nothing happens before; CLOCK_NEVER: no need */
};

void plan_init(struct plan *p);
void plan_fini(struct plan *p);
/* Empties the list for another turn, keeping its memory. */
void plan_clear(struct plan *p);
/* Appends an effect. Out of memory it ends podvisor, see base/panic.h. */
void plan_add(struct plan *p, enum effect_kind kind, uint32_t slot, uint64_t run, int64_t value, const char *fmt, ...)
	PRINTF_LIKE(6, 7);
/* Asks to be woken at that point, or earlier if somebody else asked so. */
void plan_wake(struct plan *p, ms_t at);

#endif
