/* signals owns the names of the signals, in both directions, and the words for how a process ended. */
#ifndef PODVISOR_BASE_SIGNALS_H
#define PODVISOR_BASE_SIGNALS_H

#include <stddef.h>

/* The number of "SIGTERM", "TERM", "term" or "15" (1 to 64); -EINVAL when it is none.
 * Real-time signals by number only. */
int signals_parse(const char *text);
/* "SIGTERM"; NULL when the number has no name of its own. */
const char *signals_name(int number);
/* "exited with code 1", "killed by SIGKILL", "killed by signal 34", of a status as waitpid(2) gives it. */
void signals_describe_end(int status, char *out, size_t size);

#endif
