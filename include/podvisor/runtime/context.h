/* context owns nothing: it is what every part of the runtime is given at birth,
 * so that parts need not know each other. Everything in it outlives them. */
#ifndef PODVISOR_RUNTIME_CONTEXT_H
#define PODVISOR_RUNTIME_CONTEXT_H

#include "podvisor/io/loop.h"
#include "podvisor/model/snapshot.h"
#include "podvisor/model/world.h"

struct reaper;
struct outer_notify;

/* Where the output of processes goes (runtime/logs behind it). open returns the
 * write end of a pipe, which the caller gives to the child and closes; stream 0
 * is stdout, 1 stderr, 2 and 3 are those of its stop command; config may be NULL. ended: nothing of that run is left.
 * command_said: the last line of that run's stop command, "" when there is none, valid until the next call. say: a line
 * of podvisor's own about a thing, of n bytes. record: the same, a JSON object, whatever log.level says; flush writes
 * those. */
struct output {
	void *ctx;
	int (*open)(void *ctx, const char *name, uint32_t slot, uint64_t run, int stream,
		const struct config_worker_log *config, struct err *err);
	void (*ended)(void *ctx, uint64_t run);
	const char *(*command_said)(void *ctx, const char *name, uint64_t run);
	void (*say)(void *ctx, enum log_level level, enum thing thing, const char *subject, const char *line, size_t n);
	void (*record)(void *ctx, enum log_level level, enum thing thing, const char *object, size_t n);
	void (*flush)(void *ctx);
};

struct context {
	struct loop *loop; /* post events here */
	const struct world *world; /* read only: what is configured, by slot */
	struct meters *meters; /* each part writes its own corner */
	struct reaper *reaper;
	const struct output *output;
	const char *shim_path; /* the podvisor-shim program */
	struct outer_notify *outer; /* run -- COMMAND: who is told what the command tells; NULL: nobody */
	const char *control_socket; /* where it is now, which may not be where the configuration says; "": nowhere */
};

#endif
