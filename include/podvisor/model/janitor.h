/* janitor owns the question what clients have left behind in one Chrome: pages
 * that no session is attached to, browser contexts likewise, and processes that
 * spin. It is shown everything there is, look by look, and names what has been
 * so for long enough. SPEC 4. */
#ifndef PODVISOR_MODEL_JANITOR_H
#define PODVISOR_MODEL_JANITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/clock.h"

#define JANITOR_ID_BYTES 40
#define JANITOR_MOST     1024 /* of each kind; more are seen when these are gone */
/* Of the time, in percent, that a process uses which spins. */
#define JANITOR_SPIN_PERCENT 90

enum janitor_kind { JANITOR_PAGE, JANITOR_CONTEXT };

/* As Chrome tells it; strings are borrowed. */
struct janitor_page {
	const char *id, *context;
	bool attached; /* a session has it */
	bool blank; /* about:blank */
};

struct janitor_thing {
	char id[JANITOR_ID_BYTES], context[JANITOR_ID_BYTES];
	enum janitor_kind kind;
	ms_t idle_since; /* 0: it is in use */
	bool seen, used, blank, spared;
};

struct janitor_process {
	int64_t pid;
	double cpu_seconds;
	ms_t at; /* when it had used them */
	ms_t spins_since; /* 0: it does not */
	bool seen;
};

struct janitor {
	struct janitor_thing *things;
	struct janitor_process *processes;
	size_t n_things, n_processes, room_things, room_processes;
};

void janitor_init(struct janitor *j);
void janitor_fini(struct janitor *j);

/* A look: begin, then all contexts but the default one, all pages (none of podvisor's own), end; then the processes. */
void janitor_begin(struct janitor *j);
void janitor_see_context(struct janitor *j, const char *id, ms_t now);
void janitor_see_page(struct janitor *j, const struct janitor_page *page, ms_t now);
/* Calls close for each that has been idle for so long; it counts from anew then. Spared are a blank page of the
 * default context, for clients expect one, and a context that is not older than every session
 * (oldest_session, 0: there is none): whoever made it may still be there. */
void janitor_end(struct janitor *j, ms_t idle, ms_t oldest_session, ms_t now,
	void (*close)(void *ctx, enum janitor_kind kind, const char *id, ms_t idle_for), void *ctx);

/* A renderer and the CPU time that it has used, or would have used, so far. */
void janitor_see_process(struct janitor *j, int64_t pid, double cpu_seconds, ms_t now);
/* It may spin as long again: it has been looked into. */
void janitor_forgive(struct janitor *j, int64_t pid, ms_t now);
/* The processes that have been spinning for so long: up to max pids, the number of all. */
size_t janitor_spinning(const struct janitor *j, ms_t spin, ms_t now, int64_t *pids, size_t max);

#endif
