#include <stdio.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "browsers_internal.h"
#include "podvisor/io/ancestry.h"

void browser_facts_post(const struct browser_run *r, struct event *e)
{
	e->slot = r->instance->slot;
	e->run = r->run;
	loop_post(r->owner->context->loop, e);
}

struct browser_meter *browser_facts_meter(const struct browsers *b, uint32_t slot)
{
	return &b->context->meters->browsers[slot];
}

/* ---- what a browser uses, its generations together ---- */

void browser_facts_sum(const struct browser_instance *i)
{
	struct browser_meter *m = browser_facts_meter(i->owner, i->slot);
	struct browser_meter sum = *m; /* what others count stays */
	bool any = false;
	sum.sandboxed = true;
	sum.pages_attached = sum.pages_detached = 0;
	memset(sum.processes, 0, sizeof(sum.processes));
	memset(sum.memory_bytes, 0, sizeof(sum.memory_bytes));
	LIST_EACH (at, &i->owner->runs) {
		const struct browser_run *r = LIST_ENTRY(at, struct browser_run, node);
		if (r->instance != i || !r->spawned || r->ended)
			continue;
		any = true;
		sum.sandboxed &= r->launch.sandboxed;
		sum.pages_attached += r->pages_attached;
		sum.pages_detached += r->pages_detached;
		for (int type = 0; type < CHROME_TYPE_COUNT; type++) {
			sum.processes[type] += r->tree.processes[type];
			sum.memory_bytes[type] += r->tree.memory_bytes[type];
		}
	}
	sum.sandboxed &= any;
	*m = sum;
}

static int64_t tree_memory(const struct browser_run *r)
{
	int64_t sum = 0;
	for (int type = 0; type < CHROME_TYPE_COUNT; type++)
		sum += r->tree.memory_bytes[type];
	return sum ? sum : -1;
}

/* What is left of the pod's memory. */
static int64_t memory_room(const struct browser_run *r)
{
	struct cgroup_memory m = {.limit_bytes = -1};
	if (r->owner->has_cgroup)
		cgroup_read_memory(&r->owner->cgroup, &m);
	if (m.limit_bytes <= 0 || m.used_bytes < 0)
		return -1;
	return m.limit_bytes > m.used_bytes ? m.limit_bytes - m.used_bytes : 0;
}

static void on_looked(void *ctx, const struct chrome_tree *tree, const struct browser_losses *lost)
{
	struct browser_run *r = ctx;
	struct event e = {.kind = EVENT_BROWSER_MEASURED};
	r->tree = *tree;
	browser_facts_sum(r->instance);
	e.census.memory_bytes = tree_memory(r);
	e.census.pages = r->served ? browser_probe_opened(r->probe) - r->opened_before : 0;
	e.census.room_bytes = memory_room(r);
	e.census.gpu_exits = lost->gpu;
	e.census.network_exits = lost->network;
	e.census.zygotes_lost = lost->zygotes;
	browser_facts_post(r, &e);
	browser_probe_count(r->probe);
}

/* ---- what the process tells ---- */

void browser_facts_on_started(void *ctx, struct process *p, pid_t pid)
{
	(void)ctx;
	struct browser_run *r = p->data;
	struct event e = {.kind = EVENT_BROWSER_STARTED, .pid = pid};
	snprintf(e.text, sizeof(e.text), "%s", r->launch.remark);
	/* Without it nobody counts, and Chrome works on. */
	if (browser_census_new(&r->census, r->owner->context->loop, process_shim_pid(p), pid, on_looked, r, NULL) < 0)
		r->census = NULL;
	browser_facts_sum(r->instance);
	browser_facts_post(r, &e);
}

void browser_facts_on_exited(void *ctx, struct process *p, const struct process_exit *end)
{
	(void)ctx;
	struct browser_run *r = p->data;
	struct event e = {.kind = EVENT_BROWSER_EXITED};
	e.exited.status = end->status;
	e.exited.cpu_us = end->cpu_us;
	e.exited.peak_bytes = end->peak_bytes;
	browser_output_drain(r->output);
	/* One that ended in order, or was killed, has not said why. */
	if (end->status != 0 && !(WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGKILL))
		snprintf(e.text, sizeof(e.text), "%s", browser_output_last(r->output));
	if (r->launch.sandboxed && browser_output_sandbox_refused(r->output))
		r->instance->sandbox_refused = true;
	browser_endpoint_withdraw(r->instance->endpoint, r->generation);
	browser_facts_post(r, &e);
}

void browser_facts_on_gone(void *ctx, struct process *p, int killed)
{
	(void)ctx;
	struct browser_run *r = p->data;
	struct event e = {.kind = EVENT_BROWSER_GONE, .killed = killed};
	r->ended = true;
	browser_output_drain(r->output);
	browser_run_drop_ports(r);
	browser_facts_sum(r->instance);
	browser_facts_post(r, &e);
}

/* ---- what Chrome tells ---- */

static void on_answered(void *ctx, enum rung rung, int64_t took_us, int port, enum rung_part part, const char *failure)
{
	struct event e = {.kind = EVENT_BROWSER_ANSWERED};
	e.browser.rung = rung;
	e.browser.ok = failure[0] == '\0';
	e.browser.took_us = took_us;
	e.browser.part = part;
	e.browser.port = port;
	snprintf(e.text, sizeof(e.text), "%s", failure);
	browser_facts_post(ctx, &e);
}

static void on_page_lost(void *ctx, bool own, const char *text)
{
	struct event e = {.kind = EVENT_BROWSER_PAGE_LOST};
	e.browser.own = own;
	snprintf(e.text, sizeof(e.text), "%s", text);
	browser_facts_post(ctx, &e);
}

static void on_counted(void *ctx, int64_t attached, int64_t detached)
{
	struct browser_run *r = ctx;
	r->pages_attached = attached;
	r->pages_detached = detached;
	browser_facts_sum(r->instance);
}

static void on_crashed(void *ctx, const char *target)
{
	browser_janitor_crashed(((struct browser_run *)ctx)->janitor, target);
}

static void on_replied(void *ctx, const struct cdp_message *m)
{
	browser_janitor_replied(((struct browser_run *)ctx)->janitor, m);
}

const struct browser_probe_calls browser_facts_of_probe = {.answered = on_answered,
	.page_lost = on_page_lost,
	.counted = on_counted,
	.crashed = on_crashed,
	.replied = on_replied};

/* ---- what the janitor asks and tells ---- */

static ms_t oldest_session(void *ctx)
{
	const struct browser_run *r = ctx;
	return browser_endpoint_oldest(r->instance->endpoint, r->generation);
}

static bool is_ours(void *ctx, pid_t pid)
{
	struct browser_run *r = ctx;
	return ancestry_of(pid, process_shim_pid(&r->process)) == ANCESTRY_YES;
}

static void on_tidied(void *ctx, enum browser_tidied what, const char *text)
{
	struct event e = {.kind = EVENT_BROWSER_TIDIED, .tidied = what};
	snprintf(e.text, sizeof(e.text), "%s", text);
	browser_facts_post(ctx, &e);
}

const struct browser_janitor_calls browser_facts_of_janitor = {
	.oldest_session = oldest_session, .is_ours = is_ours, .tidied = on_tidied};

static void on_sessions(void *ctx, uint64_t generation, int64_t sessions, int64_t served)
{
	const struct browser_instance *i = ctx;
	struct event e = {.kind = EVENT_BROWSER_SESSIONS, .sessions = {sessions, served}};
	LIST_EACH (at, &i->owner->runs) {
		struct browser_run *r = LIST_ENTRY(at, struct browser_run, node);
		if (r->instance == i && r->generation == generation)
			browser_facts_post(r, &e);
	}
}

static void on_queued(void *ctx, int64_t n)
{
	const struct browser_instance *i = ctx;
	browser_facts_meter(i->owner, i->slot)->queued = n;
}

const struct browser_endpoint_calls browser_facts_of_endpoint = {.counted = on_sessions, .queued = on_queued};
