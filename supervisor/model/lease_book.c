#include "podvisor/model/lease_book.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/panic.h"
#include "podvisor/model/lease_spread.h"

#define MEET_JITTER_PERCENT 10
#define TOKEN_BITS          40

void lease_book_init(struct lease_book *b, const struct config_leases *config, const char *me)
{
	*b = (struct lease_book){.settings = {.ttl = config->ttl,
					 .renew = config->renew,
					 .attempt = config->attempt,
					 .drain_at = config->drain_at,
					 .kill_at = config->kill_at},
		.objects = config->backend == LEASE_BACKEND_KUBERNETES};
	snprintf(b->settings.me, sizeof(b->settings.me), "%s", me);
}

void lease_book_fini(struct lease_book *b)
{
	for (size_t i = 0; i < b->n; i++)
		free(b->entries[i]);
	free(b->entries);
	*b = (struct lease_book){0};
}

struct lease_entry *lease_book_find(const struct lease_book *b, const char *name)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->entries[i]->name, name) == 0)
			return b->entries[i];
	return NULL;
}

int64_t lease_book_token(const struct lease_book *b, int64_t timeline, int64_t counter)
{
	return b->objects ? counter : timeline * ((int64_t)1 << TOKEN_BITS) + counter;
}

/* ---- what the workers need ---- */

const char *lease_book_name_of(const char *name, int index, int shares, char *out)
{
	if (shares)
		snprintf(out, LEASE_NAME_MAX, "%.*s/%d", CONFIG_LEASE_MAX - 1, name, index);
	else
		snprintf(out, LEASE_NAME_MAX, "%.*s", CONFIG_LEASE_MAX - 1, name);
	return out;
}

static struct lease_entry *add(struct lease_book *b, const struct lease_need *need, const char *name, ms_t now)
{
	struct lease_entry **entries = realloc(b->entries, (b->n + 1) * sizeof(struct lease_entry *));
	struct lease_entry *e = calloc(1, sizeof(*e));
	if (!entries || !e)
		panic("out of memory");
	b->entries = entries;
	b->entries[b->n++] = e;
	b->shuffled = true;
	snprintf(e->name, sizeof(e->name), "%s", name);
	snprintf(e->group, sizeof(e->group), "%s", need->name);
	e->settings = b->settings;
	e->epoch.follows = true;
	lease_init(&e->lease, &e->settings, b->objects ? &e->epoch : &b->epoch, e->name, now);
	return e;
}

void lease_book_begin(struct lease_book *b)
{
	for (size_t i = 0; i < b->n; i++) {
		b->entries[i]->named = b->entries[i]->offered = false;
		b->entries[i]->wish = (struct lease_wish){0};
	}
}

void lease_book_name(struct lease_book *b, const struct lease_need *need, ms_t now)
{
	char name[LEASE_NAME_MAX];
	lease_book_name_of(need->name, need->index, need->shares, name);
	struct lease_entry *e = lease_book_find(b, name);
	if (!e)
		e = add(b, need, name, now);
	b->shuffled |= e->shares != need->shares;
	e->index = need->index;
	e->shares = need->shares;
	e->settings.keep = need->keep && (!e->named || e->settings.keep);
	e->named = true;
	e->offered |= need->offered;
	e->wish.tree |= need->tree;
}

/* ---- shares ---- */

/* Its place among those who take part; that of nobody when it does not yet. */
static size_t find_me(const struct lease_book *b)
{
	int i = 0;
	while (i < b->members.n && strcmp(b->members.ids[i], b->settings.me) != 0)
		i++;
	return i < b->members.n ? (size_t)i : SIZE_MAX;
}

static bool is_head(const struct lease_entry *e)
{
	return e->named && e->shares && e->index == 0;
}

static struct lease_entry *share_of(const struct lease_book *b, const char *group, int index)
{
	char name[LEASE_NAME_MAX];
	return lease_book_find(b, lease_book_name_of(group, index, 1, name));
}

/* Owned by the caller: for each share the place of the member that shall hold it. */
static size_t *deal(const struct lease_book *b, const struct lease_entry *head)
{
	struct lease_member members[LEASE_MEMBERS_MAX];
	size_t *owner = calloc((size_t)head->shares, sizeof(*owner));
	if (!owner)
		panic("out of memory");
	for (int i = 0; i < b->members.n; i++)
		members[i] = (struct lease_member){.id = b->members.ids[i]};
	lease_spread(head->group, (size_t)head->shares, members, (size_t)b->members.n, owner);
	return owner;
}

static void deal_out(struct lease_book *b, const struct lease_entry *head)
{
	size_t *owner = deal(b, head), me = find_me(b);
	for (int i = 0; i < head->shares; i++) {
		struct lease_entry *e = share_of(b, head->group, i);
		if (e)
			e->mine = owner[i] == me;
	}
	free(owner);
}

static bool is_held(const struct lease_entry *e)
{
	return e->lease.state == LEASE_HELD || e->lease.state == LEASE_TAKING;
}

/* One at a time, once a period, so that a change of replicas stops few at once. */
static void give_one_up(struct lease_book *b, const struct lease_entry *head)
{
	if (find_me(b) == SIZE_MAX)
		return;
	for (int i = 0; i < head->shares; i++) {
		struct lease_entry *e = share_of(b, head->group, i);
		if (e && !e->mine && !e->given_up && is_held(e)) {
			e->given_up = true;
			return;
		}
	}
}

static void for_each_group(struct lease_book *b, void (*what)(struct lease_book *, const struct lease_entry *head))
{
	for (size_t i = 0; i < b->n; i++)
		if (is_head(b->entries[i]))
			what(b, b->entries[i]);
}

static void wish_for(struct lease_entry *e)
{
	bool held = is_held(e);
	e->given_up &= held || e->lease.state == LEASE_DRAINING;
	e->wish.wanted = e->offered && (!e->shares || e->mine || (held && !e->given_up));
}

/* ---- asking ---- */

static bool renewal_is_due(const struct lease_book *b, ms_t now)
{
	for (size_t i = 0; i < b->n; i++)
		if (lease_renewal_is_due(&b->entries[i]->lease, now))
			return true;
	return false;
}

/* Leases that sleep need no company. */
static bool any_is_named(const struct lease_book *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->entries[i]->named)
			return true;
	return false;
}

static bool any_is_offered(const struct lease_book *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (b->entries[i]->offered)
			return true;
	return false;
}

/* Hints only: who of the others is there is decided nowhere by it. */
static void plan_meeting(struct lease_book *b, bool leaving, struct turn *t)
{
	bool turned = b->left != leaving;
	if (!any_is_named(b) || (leaving && b->left))
		return;
	if (!turned && !clock_due(b->meet_at, t->now)) {
		plan_wake(t->plan, b->meet_at);
		return;
	}
	b->left = leaving;
	b->meet_at = clock_after(t->now, random_jitter(t->random, b->settings.renew, MEET_JITTER_PERCENT));
	plan_add(t->plan, EFFECT_LEASE_MEET, 0, 0, leaving, "%s",
		leaving ? "nothing is to be given to this replica" : "heartbeat");
	if (!leaving)
		plan_wake(t->plan, b->meet_at);
}

void lease_book_plan(struct lease_book *b, bool leaving, struct turn *t)
{
	bool together = renewal_is_due(b, t->now);
	if (b->shuffled)
		for_each_group(b, deal_out);
	b->shuffled = false;
	for (size_t i = 0; i < b->n; i++) {
		struct lease_entry *e = b->entries[i];
		wish_for(e);
		e->wish.together = together;
		struct lease_orders o = lease_plan(&e->lease, e->wish, t);
		if (!o.request)
			continue;
		e->orders = o;
		plan_add(t->plan, EFFECT_LEASE_ASK, (uint32_t)i, o.id, o.request, "%s: %s",
			lease_request_name(o.request), o.reason);
	}
	plan_meeting(b, leaving || !any_is_offered(b), t);
}

/* ---- answers ---- */

/* What is wrong with the answer itself, or "". */
static const char *find_trouble(const struct lease_epoch *epoch, const struct event *told)
{
	if (told->kind == EVENT_LEASE_FAILED)
		return told->text;
	if (told->lease.system != epoch->system)
		return "the database is another one than before (its system identifier differs): its leases are "
		       "refused";
	return told->lease.timeline < epoch->timeline ? "the server does not know that another has taken its place"
						      : "";
}

/* Told when it begins, or becomes another. */
static void note_trouble(struct lease_entry *e, const struct event *told, struct turn *t)
{
	const char *trouble = find_trouble(e->lease.epoch, told);
	if (trouble[0] && strcmp(e->trouble, trouble) != 0)
		journal_add(t->journal, t->now, LOG_WARN, THING_LEASE, e->name, "trouble", "%s", trouble);
	snprintf(e->trouble, sizeof(e->trouble), "%s", trouble);
}

static struct lease_event read_event(const struct event *told)
{
	struct lease_event e = {.kind = told->kind == EVENT_LEASE_ANSWERED ? LEASE_ANSWERED
					: told->kind == EVENT_LEASE_DENIED ? LEASE_DENIED
					: told->kind == EVENT_LEASE_HINTED ? LEASE_HINTED
									   : LEASE_FAILED,
		.id = told->run,
		.sent = told->lease.sent,
		.received = told->lease.received,
		.system = told->lease.system,
		.timeline = told->lease.timeline,
		.server_ms = told->lease.server_ms,
		.preferred = told->lease.preferred,
		.row = {.token = told->lease.token,
			.seq = told->lease.seq,
			.timeline = told->lease.granted_on,
			.renewed_ms = told->lease.renewed_ms}};
	if (told->kind == EVENT_LEASE_ANSWERED)
		snprintf(e.row.holder, sizeof(e.row.holder), "%s", told->text);
	return e;
}

static void note_handover(struct lease_book *b, struct lease_entry *e, const struct lease_event *told)
{
	if (told->kind == LEASE_HINTED && e->lease.state == LEASE_STANDBY)
		e->hinted_at = told->received;
	if (e->lease.state != LEASE_HELD || !e->hinted_at)
		return;
	histogram_add(&b->handover_seconds, (double)(told->received - e->hinted_at) / 1000);
	e->hinted_at = 0;
}

static void note_answer(struct lease_book *b, const struct event *told, struct turn *t)
{
	struct lease_entry *e = b->entries[told->slot];
	struct lease_event event = read_event(told);
	lease_apply(&e->lease, &event, t);
	if (told->kind != EVENT_LEASE_HINTED)
		note_trouble(e, told, t);
	note_handover(b, e, &event);
}

static void note_member(struct lease_book *b, const struct event *told)
{
	if (told->count >= 0 && told->count < LEASE_MEMBERS_MAX)
		snprintf(b->coming.ids[told->count], LEASE_HOLDER_MAX, "%s", told->text);
}

/* The others have been told one by one before. */
static void note_meeting(struct lease_book *b, const struct event *told)
{
	b->coming.n = told->count < LEASE_MEMBERS_MAX ? told->count : LEASE_MEMBERS_MAX;
	bool same = b->coming.n == b->members.n;
	for (int i = 0; same && i < b->coming.n; i++)
		same = strcmp(b->coming.ids[i], b->members.ids[i]) == 0;
	b->members = b->coming;
	if (!same)
		for_each_group(b, deal_out);
	for_each_group(b, give_one_up);
}

void lease_book_apply(struct lease_book *b, const struct event *told, struct turn *t)
{
	if (told->kind == EVENT_LEASE_MEMBER)
		note_member(b, told);
	else if (told->kind == EVENT_LEASE_MET)
		note_meeting(b, told);
	else if (told->kind == EVENT_LEASE_CALLED)
		b->meet_at = t->now;
	else if (told->slot < b->n)
		note_answer(b, told, t);
}

bool lease_book_is_closed(const struct lease_book *b, ms_t now)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct lease *l = &b->entries[i]->lease;
		bool overdue =
			l->state == LEASE_RELEASING && clock_due(clock_after(l->since, b->settings.attempt), now);
		if (l->state != LEASE_OFF && !overdue)
			return false;
	}
	return true;
}

/* Of a holder, "pod/start", the pod is what people know. */
void lease_book_describe(const struct lease_entry *e, char *out, size_t size)
{
	const struct lease *l = &e->lease;
	const char *holder = l->known ? l->seen.holder : "";
	const char *start = strrchr(holder, '/');
	if (e->trouble[0])
		snprintf(out, size, "lease %s: %s", e->name, e->trouble);
	else if (e->shares && !e->mine && l->state == LEASE_OFF)
		snprintf(out, size, "lease %s is the share of another replica", e->name);
	else if (l->state != LEASE_STANDBY)
		snprintf(out, size, "lease %s: %s", e->name, l->reason);
	else if (!l->known)
		snprintf(out, size, "lease %s was not looked at yet", e->name);
	else if (!holder[0])
		snprintf(out, size, "lease %s is free", e->name);
	else
		snprintf(out, size, "lease %s is held by %.*s", e->name, (int)(start ? start - holder : 160), holder);
}
