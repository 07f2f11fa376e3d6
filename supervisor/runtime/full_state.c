#include "podvisor/runtime/full_state.h"

#include <stdio.h>

/* Without a process there is no pid to tell. */
static void tell_running(
	struct logs *logs, enum thing thing, const char *name, const char *state, int pid, const char *reason)
{
	char process[32] = "";
	if (pid > 0)
		snprintf(process, sizeof(process), ", pid %d", pid);
	logs_say(logs, LOG_WARN, thing, name, "state: %s%s: %s", state, process, reason);
}

void full_state_tell(const struct world *w, struct logs *logs)
{
	logs_say(logs, LOG_WARN, THING_POD, "", "state: drain %s", drain_state_name(w->drain.state));
	for (size_t i = 0; i < w->n_workers; i++)
		if (w->workers[i].config)
			tell_running(logs, THING_WORKER, w->workers[i].name, worker_state_name(w->workers[i].state),
				w->workers[i].pid, w->workers[i].reason);
	for (size_t i = 0; i < w->n_databases; i++)
		logs_say(logs, LOG_WARN, THING_POSTGRES, w->databases[i].config->name, "state: %s: %s",
			database_state_name(w->databases[i].state), w->databases[i].text);
	for (size_t i = 0; i < w->leases.n; i++)
		logs_say(logs, LOG_WARN, THING_LEASE, w->leases.entries[i]->name, "state: %s: %s",
			lease_state_name(w->leases.entries[i]->lease.state), w->leases.entries[i]->lease.reason);
	for (size_t i = 0; i < w->n_browsers; i++)
		tell_running(logs, THING_BROWSER, w->browsers[i].config->name, browser_state_name(w->browsers[i].state),
			browser_lead(&w->browsers[i])->pid, w->browsers[i].reason);
	for (size_t i = 0; i < w->n_volumes; i++)
		logs_say(logs, LOG_WARN, THING_VOLUME, w->volumes[i].config->name, "state: %s",
			volume_state_name(w->volumes[i].state));
}
