/* stop_commands owns the commands that run before a worker is signalled
 * (EFFECT_WORKER_STOP_COMMAND), as its user and in its environment. How one ended
 * comes back as EVENT_WORKER_STOP_COMMAND. */
#ifndef PODVISOR_RUNTIME_STOP_COMMANDS_H
#define PODVISOR_RUNTIME_STOP_COMMANDS_H

#include <stdbool.h>

#include "podvisor/base/err.h"
#include "podvisor/runtime/context.h"

struct stop_commands;

int stop_commands_new(struct stop_commands **out, const struct context *c, struct err *err) MUST_CHECK;
void stop_commands_do(struct stop_commands *s, const struct effect *e);
/* Nothing of that run is left: its command, if it still runs, has no more to do. */
void stop_commands_forget(struct stop_commands *s, uint32_t slot, uint64_t run);
/* podvisor is about to end: so have they. True: nothing of any is left; else the loop is asked for a turn whenever
 * less is. */
bool stop_commands_end(struct stop_commands *s);
/* NULL is fine. */
void stop_commands_free(struct stop_commands *s);

#endif
