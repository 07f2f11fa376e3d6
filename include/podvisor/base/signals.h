/* signals owns the names of the signals, in both directions. */
#ifndef PODVISOR_BASE_SIGNALS_H
#define PODVISOR_BASE_SIGNALS_H

/* The number of "SIGTERM", "TERM", "term" or "15" (1 to 64); -EINVAL when it is none.
 * Real-time signals by number only. */
int signals_parse(const char *text);
/* "SIGTERM"; NULL when the number has no name of its own. */
const char *signals_name(int number);

#endif
