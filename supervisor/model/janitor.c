#include "podvisor/model/janitor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 16

void janitor_init(struct janitor *j)
{
	*j = (struct janitor){0};
}

void janitor_fini(struct janitor *j)
{
	free(j->things);
	free(j->processes);
	janitor_init(j);
}

/* Room for one more element; NULL: what there is, is enough, or memory is out. */
static void *grow(void *array, size_t n, size_t *room, size_t size)
{
	size_t more = *room ? 2 * *room : FIRST_ROOM;
	void *grown = n < JANITOR_MOST && n == *room ? reallocarray(array, more, size) : NULL;
	if (grown)
		*room = more;
	return grown;
}

/* ---- pages and contexts ---- */

static struct janitor_thing *find(const struct janitor *j, enum janitor_kind kind, const char *id)
{
	for (size_t i = 0; i < j->n_things; i++)
		if (j->things[i].kind == kind && !strcmp(j->things[i].id, id))
			return &j->things[i];
	return NULL;
}

static struct janitor_thing *find_or_add(struct janitor *j, enum janitor_kind kind, const char *id, ms_t now)
{
	struct janitor_thing *t = find(j, kind, id);
	if (t || !id[0] || strlen(id) >= JANITOR_ID_BYTES)
		return t;
	void *grown = grow(j->things, j->n_things, &j->room_things, sizeof(*j->things));
	j->things = grown ? grown : j->things;
	if (j->n_things == j->room_things || j->n_things == JANITOR_MOST)
		return NULL;
	t = &j->things[j->n_things++];
	*t = (struct janitor_thing){.kind = kind, .idle_since = now};
	snprintf(t->id, sizeof(t->id), "%s", id);
	return t;
}

/* What the look before has not seen. */
static void forget_ended(struct janitor *j)
{
	size_t n = 0;
	for (size_t i = 0; i < j->n_processes; i++)
		if (j->processes[i].seen)
			j->processes[n++] = j->processes[i];
	j->n_processes = n;
	for (size_t i = 0; i < n; i++)
		j->processes[i].seen = false;
}

void janitor_begin(struct janitor *j)
{
	for (size_t i = 0; i < j->n_things; i++)
		j->things[i].seen = j->things[i].used = j->things[i].spared = false;
	forget_ended(j);
}

void janitor_see_context(struct janitor *j, const char *id, ms_t now)
{
	struct janitor_thing *t = find_or_add(j, JANITOR_CONTEXT, id, now);
	if (t)
		t->seen = true;
}

void janitor_see_page(struct janitor *j, const struct janitor_page *page, ms_t now)
{
	struct janitor_thing *t = find_or_add(j, JANITOR_PAGE, page->id, now);
	struct janitor_thing *context = find(j, JANITOR_CONTEXT, page->context);
	if (context)
		context->used |= page->attached;
	if (!t)
		return;
	t->seen = true;
	t->used = page->attached;
	t->blank = page->blank;
	snprintf(t->context, sizeof(t->context), "%s", context ? page->context : "");
}

static void forget_the_gone(struct janitor *j)
{
	size_t n = 0;
	for (size_t i = 0; i < j->n_things; i++)
		if (j->things[i].seen)
			j->things[n++] = j->things[i];
	j->n_things = n;
}

static void note_use(struct janitor *j, ms_t now)
{
	for (size_t i = 0; i < j->n_things; i++) {
		struct janitor_thing *t = &j->things[i];
		t->idle_since = t->used ? 0 : t->idle_since ? t->idle_since : now;
	}
}

static void spare_a_blank_page(struct janitor *j)
{
	for (size_t i = 0; i < j->n_things; i++) {
		struct janitor_thing *t = &j->things[i];
		if (t->kind != JANITOR_PAGE || t->context[0] || !t->blank)
			continue;
		t->spared = true;
		return;
	}
}

static bool is_due(const struct janitor_thing *t, ms_t idle, ms_t oldest_session, ms_t now)
{
	if (!t->idle_since || t->spared || now - t->idle_since < idle)
		return false;
	return t->kind == JANITOR_PAGE || !oldest_session || oldest_session > t->idle_since;
}

void janitor_end(struct janitor *j, ms_t idle, ms_t oldest_session, ms_t now,
	void (*close)(void *ctx, enum janitor_kind kind, const char *id, ms_t idle_for), void *ctx)
{
	forget_the_gone(j);
	note_use(j, now);
	spare_a_blank_page(j);
	for (size_t i = 0; idle > 0 && i < j->n_things; i++) {
		struct janitor_thing *t = &j->things[i];
		if (!is_due(t, idle, oldest_session, now))
			continue;
		close(ctx, t->kind, t->id, now - t->idle_since);
		t->idle_since = now;
	}
}

/* ---- processes ---- */

static struct janitor_process *process_of(struct janitor *j, int64_t pid, double cpu_seconds, ms_t now)
{
	for (size_t i = 0; i < j->n_processes; i++)
		if (j->processes[i].pid == pid)
			return &j->processes[i];
	void *grown = grow(j->processes, j->n_processes, &j->room_processes, sizeof(*j->processes));
	j->processes = grown ? grown : j->processes;
	if (j->n_processes == j->room_processes || j->n_processes == JANITOR_MOST)
		return NULL;
	struct janitor_process *p = &j->processes[j->n_processes++];
	*p = (struct janitor_process){.pid = pid, .cpu_seconds = cpu_seconds, .at = now};
	return p;
}

void janitor_see_process(struct janitor *j, int64_t pid, double cpu_seconds, ms_t now)
{
	struct janitor_process *p = process_of(j, pid, cpu_seconds, now);
	if (!p)
		return;
	p->seen = true;
	ms_t took = now - p->at;
	double used = (cpu_seconds - p->cpu_seconds) * 1000;
	if (took <= 0)
		return;
	bool spins = used * 100 >= (double)took * JANITOR_SPIN_PERCENT;
	p->spins_since = !spins ? 0 : p->spins_since ? p->spins_since : p->at;
	p->cpu_seconds = cpu_seconds;
	p->at = now;
}

void janitor_forgive(struct janitor *j, int64_t pid, ms_t now)
{
	for (size_t i = 0; i < j->n_processes; i++)
		if (j->processes[i].pid == pid && j->processes[i].spins_since)
			j->processes[i].spins_since = now;
}

size_t janitor_spinning(const struct janitor *j, ms_t spin, ms_t now, int64_t *pids, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; spin > 0 && i < j->n_processes; i++) {
		const struct janitor_process *p = &j->processes[i];
		if (!p->spins_since || now - p->spins_since < spin)
			continue;
		if (n < max)
			pids[n] = p->pid;
		n++;
	}
	return n;
}
