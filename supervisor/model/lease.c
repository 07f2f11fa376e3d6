#include "podvisor/model/lease.h"

#include <string.h>

#define JITTER_PERCENT 10
/* Those who are not preferred let the one who is try first. */
#define OTHERS_AFTER_MS  250
#define OTHERS_SPREAD_MS 250

static const char *const state_names[LEASE_STATE_COUNT] = {
#define LEASE_NAME(id, name) [id] = name,
	LEASE_STATES(LEASE_NAME)
#undef LEASE_NAME
};

static const struct {
	const char *name, *text;
} reasons[LEASE_REASON_COUNT] = {
#define LEASE_TEXT(id, name, text) [id] = {name, text},
	LEASE_REASONS(LEASE_TEXT)
#undef LEASE_TEXT
};

const char *lease_reason_name(enum lease_reason reason)
{
	return reason < LEASE_REASON_COUNT ? reasons[reason].name : "unknown";
}

const char *lease_state_name(enum lease_state state)
{
	return state < LEASE_STATE_COUNT ? state_names[state] : "unknown";
}

void lease_init(
	struct lease *l, const struct lease_settings *settings, struct lease_epoch *epoch, const char *name, ms_t now)
{
	*l = (struct lease){.settings = settings,
		.epoch = epoch,
		.name = name,
		.reason = reasons[LEASE_BORN].text,
		.since = now,
		.next_at = now};
}

/* ---- the one setter ---- */

static void set_state(struct lease *l, enum lease_state state, enum lease_reason reason, struct turn *t)
{
	if (state == l->state)
		return;
	bool grave = state == LEASE_KILLING, dull = state == LEASE_TAKING || reason == LEASE_BEATEN;
	l->state = state;
	l->reason = reasons[reason].text;
	l->since = t->now;
	l->moves[reason]++;
	l->kills += grave;
	journal_add(t->journal, t->now,
		grave  ? LOG_ERROR
		: dull ? LOG_DEBUG
		       : LOG_INFO,
		THING_LEASE, l->name, lease_state_name(state), "%s: %s", lease_state_name(state), l->reason);
}

/* ---- times ---- */

/* CLOCK_NEVER for whoever keeps running without a database. */
static ms_t due_since_send(const struct lease *l, ms_t span)
{
	return l->settings->keep ? CLOCK_NEVER : clock_after(l->sent_at, span);
}

static bool has_claim(const struct lease *l)
{
	return l->state == LEASE_HELD || l->state == LEASE_DRAINING;
}

bool lease_is_held(const struct lease *l, ms_t now)
{
	bool claims = has_claim(l) || l->state == LEASE_KILLING;
	return claims && !l->lost && now < clock_after(l->sent_at, l->settings->kill_at);
}

bool lease_renewal_is_due(const struct lease *l, ms_t now)
{
	return has_claim(l) && !l->request && clock_due(l->next_at, now);
}

static ms_t next_period(const struct lease *l, struct turn *t)
{
	return clock_after(t->now, random_jitter(t->random, l->settings->renew, JITTER_PERCENT));
}

/* ---- when it may be taken ---- */

static bool is_mine(const struct lease *l, const char *holder)
{
	return strcmp(holder, l->settings->me) == 0;
}

/* The same pod and container, started at another time. */
static bool is_predecessor(const struct lease *l, const char *holder)
{
	const char *me = l->settings->me, *start = strrchr(me, '/');
	return start && strncmp(holder, me, (size_t)(start - me) + 1) == 0 && !is_mine(l, holder);
}

/* Nobody can run under it: it is free; or it is mine, and whoever is in standby has no tree (a grant whose answer was
 * lost, or a release that did not arrive); or its holder ended with its container. What failed over says nothing of the
 * kind, which lease_epoch_open_at() sees to. */
static bool is_vacant(const struct lease *l)
{
	const char *holder = l->seen.holder;
	return !holder[0] || is_mine(l, holder) || (l->settings->predecessor_is_gone && is_predecessor(l, holder));
}

static ms_t later(ms_t a, ms_t b)
{
	return a > b ? a : b;
}

static ms_t takeable_at(const struct lease *l)
{
	if (!l->known)
		return CLOCK_NEVER;
	ms_t at = lease_epoch_open_at(l->epoch, l->seen.timeline, l->settings->ttl);
	if (!is_vacant(l))
		at = later(at, clock_after(l->seen_at, l->settings->ttl));
	return later(at, l->not_before);
}

/* ---- answers ---- */

/* Of the grant its timeline too: a failover that lost it may have been followed by one of the same counter, to the same
 * replica, while this one looked away. */
static void see(struct lease *l, const struct lease_event *e)
{
	bool same = l->known && l->seen.token == e->row.token && l->seen.seq == e->row.seq &&
		    l->seen.timeline == e->row.timeline && strcmp(l->seen.holder, e->row.holder) == 0;
	if (!same)
		l->seen_at = e->received;
	l->known = true;
	l->seen = e->row;
}

static void claim(struct lease *l, const struct lease_event *e, struct turn *t)
{
	l->token = e->row.token;
	l->timeline = e->row.timeline;
	l->sent_at = e->sent;
	l->lost = false;
	l->next_at = next_period(l, t);
	set_state(l, LEASE_HELD, LEASE_GRANTED, t);
}

static void lose(struct lease *l, struct turn *t)
{
	l->lost = true;
	set_state(l, LEASE_KILLING, LEASE_LOST, t);
}

static void answered(struct lease *l, enum lease_request request, const struct lease_event *e, struct turn *t)
{
	see(l, e);
	if (request == LEASE_ACQUIRE) {
		claim(l, e, t);
	} else if (request == LEASE_RENEW && has_claim(l)) {
		l->sent_at = e->sent;
		l->renewals[0]++;
	} else if (request == LEASE_RELEASE) {
		set_state(l, LEASE_OFF, LEASE_RELEASED, t);
	}
}

/* A row that is not there has to be made; it is looked for again as any other. */
static void denied(struct lease *l, enum lease_request request, struct turn *t)
{
	l->known = false;
	if (request == LEASE_ACQUIRE)
		set_state(l, LEASE_STANDBY, LEASE_BEATEN, t);
	else if (request == LEASE_RENEW && has_claim(l))
		lose(l, t);
	else if (request == LEASE_RELEASE)
		set_state(l, LEASE_OFF, LEASE_GONE, t);
	if (request == LEASE_ACQUIRE)
		l->next_at = t->now;
}

static void failed(struct lease *l, enum lease_request request, struct turn *t)
{
	if (request == LEASE_ACQUIRE)
		set_state(l, LEASE_STANDBY, LEASE_UNANSWERED, t);
	if (request == LEASE_RENEW)
		l->renewals[1]++;
	/* What is claimed is in a hurry; what is watched is not. */
	bool hurry = has_claim(l) || l->state == LEASE_RELEASING;
	l->next_at = hurry ? clock_after(t->now, l->settings->renew / 4) : next_period(l, t);
	if (request == LEASE_ACQUIRE)
		l->not_before = l->next_at;
}

static bool is_believable(struct lease *l, const struct lease_event *e, struct turn *t)
{
	bool first = l->epoch->timeline == 0;
	enum lease_history history = lease_epoch_note(l->epoch, e->system, e->timeline, e->received);
	if (history == LEASE_HISTORY_NEW && l->epoch->follows)
		journal_add(t->journal, t->now, first ? LOG_INFO : LOG_WARN, THING_LEASE, l->name, "object",
			"its object is %s: what was not granted there is not taken for a term",
			first ? "seen for the first time" : "another one now");
	else if (history == LEASE_HISTORY_NEW)
		journal_add(t->journal, t->now, first ? LOG_INFO : LOG_WARN, THING_LEASE, l->name, "timeline",
			"leases are on timeline %lld now: what was not granted there is not taken for a term",
			(long long)e->timeline);
	return history == LEASE_HISTORY_SAME || history == LEASE_HISTORY_NEW;
}

/* The row as the hint has it may be tried at once: a hint that is wrong, or forged, fails the compare-and-set, which
 * compares the holder too. */
static void hinted(struct lease *l, const struct lease_event *e, struct turn *t)
{
	if (l->state != LEASE_STANDBY)
		return;
	if (!e->preferred)
		l->not_before =
			clock_after(t->now, OTHERS_AFTER_MS + (ms_t)random_below(t->random, OTHERS_SPREAD_MS + 1));
	else if (l->known && l->seen.token == e->row.token)
		l->seen.seq = e->row.seq, l->seen.holder[0] = '\0', l->seen_at = e->received;
	l->next_at = e->preferred ? t->now : l->not_before;
}

/* An answer that took longer than an attempt may, or that comes from another history, is none. */
void lease_apply(struct lease *l, const struct lease_event *e, struct turn *t)
{
	if (e->kind == LEASE_HINTED) {
		hinted(l, e, t);
		return;
	}
	if (!l->request || e->id != l->id)
		return;
	enum lease_request request = l->request;
	bool late = e->received - e->sent > l->settings->attempt;
	l->request = LEASE_NOTHING;
	l->next_at = next_period(l, t);
	if (e->kind == LEASE_FAILED || late || !is_believable(l, e, t))
		failed(l, request, t);
	else if (e->kind == LEASE_ANSWERED)
		answered(l, request, e, t);
	else
		denied(l, request, t);
}

/* ---- the moves of time and wishes ---- */

static void move_idle(struct lease *l, struct lease_wish wish, struct turn *t)
{
	if (l->state == LEASE_OFF && wish.wanted) {
		l->next_at = t->now;
		set_state(l, LEASE_STANDBY, LEASE_WANTED, t);
	} else if (l->state == LEASE_STANDBY && !wish.wanted) {
		set_state(l, LEASE_OFF, LEASE_UNWANTED, t);
	}
}

static void move_claim(struct lease *l, struct lease_wish wish, struct turn *t)
{
	if (clock_due(due_since_send(l, l->settings->kill_at), t->now))
		set_state(l, LEASE_KILLING, LEASE_EXPIRED, t);
	else if (l->state == LEASE_HELD && clock_due(due_since_send(l, l->settings->drain_at), t->now))
		set_state(l, LEASE_DRAINING, LEASE_LATE, t);
	else if (l->state == LEASE_HELD && !wish.wanted)
		set_state(l, LEASE_DRAINING, LEASE_UNWANTED, t);
}

/* Only here, and only without a tree, does a claim end. */
static void move_ended(struct lease *l, struct lease_wish wish, struct turn *t)
{
	bool ends = l->state == LEASE_DRAINING || l->state == LEASE_KILLING;
	if (!ends || wish.tree)
		return;
	l->request = LEASE_NOTHING;
	l->next_at = t->now;
	if (l->lost)
		set_state(l, LEASE_OFF, LEASE_ENDED, t);
	else
		set_state(l, LEASE_RELEASING, LEASE_ENDED, t);
}

static void give_up(struct lease *l, struct turn *t)
{
	if (l->request && clock_due(l->answer_due, t->now)) {
		enum lease_request request = l->request;
		l->request = LEASE_NOTHING;
		failed(l, request, t);
	}
}

static void move_released(struct lease *l, struct turn *t)
{
	if (l->state != LEASE_RELEASING || !clock_due(clock_after(l->sent_at, l->settings->ttl), t->now))
		return;
	l->request = LEASE_NOTHING;
	set_state(l, LEASE_OFF, LEASE_OVER, t);
}

/* ---- orders ---- */

static struct lease_orders ask(struct lease *l, enum lease_request request, const char *reason, struct turn *t)
{
	l->request = request;
	l->id = ++l->last_id;
	l->answer_due = clock_after(t->now, l->settings->attempt);
	plan_wake(t->plan, l->answer_due);
	return (struct lease_orders){.request = request,
		.id = l->id,
		.expected = l->seen,
		.system = l->epoch->system,
		.timeline = request == LEASE_ACQUIRE ? l->epoch->timeline : l->timeline,
		.token = l->token,
		.reason = reason};
}

static struct lease_orders order_standby(struct lease *l, struct turn *t)
{
	ms_t take_at = takeable_at(l);
	if (clock_due(take_at, t->now)) {
		set_state(l, LEASE_TAKING, l->seen.holder[0] ? LEASE_SILENT : LEASE_FREE, t);
		return ask(l, LEASE_ACQUIRE, l->reason, t);
	}
	if (clock_due(l->next_at, t->now))
		return ask(l, LEASE_OBSERVE, "due", t);
	plan_wake(t->plan, clock_earlier(take_at, l->next_at));
	return (struct lease_orders){0};
}

static struct lease_orders order_claim(struct lease *l, struct lease_wish wish, struct turn *t)
{
	if (wish.together || clock_due(l->next_at, t->now))
		return ask(l, LEASE_RENEW, "due", t);
	plan_wake(t->plan, l->next_at);
	return (struct lease_orders){0};
}

static struct lease_orders order_release(struct lease *l, struct turn *t)
{
	if (clock_due(l->next_at, t->now))
		return ask(l, LEASE_RELEASE, l->reason, t);
	plan_wake(t->plan, l->next_at);
	return (struct lease_orders){0};
}

static void wake_for_deadlines(const struct lease *l, struct turn *t)
{
	if (l->state == LEASE_HELD)
		plan_wake(t->plan, due_since_send(l, l->settings->drain_at));
	if (has_claim(l))
		plan_wake(t->plan, due_since_send(l, l->settings->kill_at));
	if (l->request)
		plan_wake(t->plan, l->answer_due);
}

struct lease_orders lease_plan(struct lease *l, struct lease_wish wish, struct turn *t)
{
	give_up(l, t);
	if (has_claim(l))
		move_claim(l, wish, t);
	move_ended(l, wish, t);
	move_released(l, t);
	move_idle(l, wish, t);
	wake_for_deadlines(l, t);
	if (l->request)
		return (struct lease_orders){0};
	if (l->state == LEASE_STANDBY)
		return order_standby(l, t);
	if (has_claim(l))
		return order_claim(l, wish, t);
	if (l->state == LEASE_RELEASING)
		return order_release(l, t);
	return (struct lease_orders){0};
}

struct lease_permit lease_permit(const struct lease *l, ms_t now)
{
	bool claims = has_claim(l);
	return (struct lease_permit){
		.run = l->state == LEASE_HELD && !clock_due(due_since_send(l, l->settings->drain_at), now),
		.timeline = l->timeline,
		.token = l->token,
		.stop = l->state != LEASE_HELD,
		.kill = !claims || clock_due(due_since_send(l, l->settings->kill_at), now),
		.deadline = claims ? due_since_send(l, l->settings->kill_at) : now,
	};
}
