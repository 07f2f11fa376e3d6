/* command owns what the processes of a worker have in common, its main process and its exec checks: the user they
 * become, their environment and their place. What may hang, the look-up of the user through NSS and the reading of
 * env_files, is done in libuv's pool; a hanging one is not followed by another of the same worker. */
#ifndef PODVISOR_RUNTIME_COMMAND_H
#define PODVISOR_RUNTIME_COMMAND_H

#include "podvisor/base/err.h"
#include "podvisor/io/account.h"
#include "podvisor/io/process.h"
#include "podvisor/runtime/context.h"
#include "podvisor/runtime/environment.h"

struct commands; /* those that are being prepared */
struct command; /* one that is to be started */

/* at_most: so many of one worker at a time, those that hang included. */
int commands_new(struct commands **out, const struct context *c, int at_most, struct err *err) MUST_CHECK;
/* NULL is fine. No command is left by then; what hangs in the pool is forgotten. */
void commands_free(struct commands *c);

/* rc: 0, or a negative errno with a sentence. Called from the loop, once, and not after command_free. */
typedef void (*command_ready)(void *ctx, int rc, const struct err *err);

/* Looks up what the configuration of the worker's run names, or its own while there is none. Returns 1 when it is ready
 * already, for there was nothing to look up; 0 when ready will be called; -EBUSY when too many hang; or another
 * negative errno with a sentence. */
int command_prepare(struct command **out, struct commands *c, const struct worker *worker, command_ready ready,
	void *ctx, struct err *err) MUST_CHECK;
/* NULL is fine. */
void command_free(struct command *c);

/* Once it is ready, and once only. Adds to env, and sets what of spec is common; spec borrows from c and env. */
int command_describe(struct command *c, const struct worker *worker, struct environment *env, struct process_spec *spec,
	struct err *err) MUST_CHECK;
/* Why the shim could not do that step, with what the configuration names; error is a negative errno. "cannot enter its
 * working directory (/srv): No such file or directory" */
void command_explain(const struct config_worker *config, enum shim_step step, int error, char *out, size_t size);
/* Whom it becomes. */
uid_t command_uid(const struct command *c);

#endif
