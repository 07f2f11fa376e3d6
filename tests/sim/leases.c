#include "leases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/lease.h"

enum { REPLICAS = 3, LETTERS = 128, HISTORY = 64 };

struct replica {
	struct lease lease;
	struct lease_settings settings;
	struct lease_epoch epoch;
	int ppm; /* rate of its clock, in millionths */
	ms_t offset;
	int starts;
	int slow_percent; /* of what travels from and to it */
	bool wanted, tree, stubborn;
	ms_t paused_until, dead_until, cut_until; /* true time; cut: nothing from or to the database */
	ms_t tree_deadline; /* its own time: the shim's */
	ms_t tree_ends_at; /* true time, after SIGTERM or SIGKILL */
	ms_t wake_at; /* its own time */
};

/* A request on its way to the database, or its answer on the way back. */
struct letter {
	bool used, is_answer, is_lost_on_return;
	int to;
	int starts; /* of the replica that asked */
	char me[LEASE_HOLDER_MAX];
	struct lease_orders orders;
	struct lease_event answer;
	ms_t at;
};

struct stage {
	uint64_t seed, steps;
	ms_t now;
	struct random random;
	struct journal journal;
	struct plan plan;
	struct replica replicas[REPLICAS];
	struct letter letters[LETTERS];
	struct lease_row row, history[HISTORY];
	uint64_t n_history;
	int64_t timeline, wall_ms;
	ms_t database_down_until;
	bool calm;
	ms_t cut_over; /* of the newest cut after a slow answer */
	int64_t granted_timeline, granted_token; /* of the newest tree */
};

static void PRINTF_LIKE(3, 4) check(struct stage *s, bool right, const char *fmt, ...)
{
	if (right)
		return;
	char text[256];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	fail_msg("seed %llu, at %lld ms: %s", (unsigned long long)s->seed, (long long)s->now, text);
}

static bool chance(struct stage *s, int percent)
{
	return (int)random_below(&s->random, 100) < percent;
}

static ms_t up_to(struct stage *s, ms_t span)
{
	return (ms_t)random_below(&s->random, (uint64_t)span + 1);
}

static ms_t own_time(const struct replica *r, ms_t now)
{
	return r->offset + now + now / 1000 * r->ppm / 1000 + now % 1000 * r->ppm / 1000000;
}

/* The first true time at which its clock shows at. */
static ms_t true_time(const struct replica *r, ms_t at)
{
	if (at == CLOCK_NEVER)
		return CLOCK_NEVER;
	ms_t guess = (ms_t)((double)(at - r->offset) / (1 + r->ppm / 1e6)) - 2;
	while (own_time(r, guess) < at)
		guess++;
	return guess;
}

/* ---- the database ---- */

static void remember(struct stage *s)
{
	s->history[s->n_history++ % HISTORY] = s->row;
}

/* Some of the last writes are lost: none, one, or all that it remembers. */
static void fail_over(struct stage *s)
{
	uint64_t most = s->n_history < HISTORY ? s->n_history : HISTORY;
	uint64_t lost = random_below(&s->random, chance(s, 50) ? 3 : most);
	if (lost >= most)
		lost = most - 1;
	s->row = s->history[(s->n_history - 1 - lost) % HISTORY];
	s->timeline++;
	s->n_history = 0;
	remember(s);
}

static ms_t transit(struct stage *s, int to)
{
	if (s->calm || !chance(s, s->replicas[to].slow_percent))
		return 1 + up_to(s, 20);
	return up_to(s, chance(s, 80) ? 7000 : 40000);
}

static struct letter *free_letter(struct stage *s)
{
	for (int i = 0; i < LETTERS; i++)
		if (!s->letters[i].used)
			return &s->letters[i];
	return NULL;
}

static void hint(struct stage *s)
{
	int preferred = (int)random_below(&s->random, REPLICAS);
	for (int i = 0; i < REPLICAS; i++) {
		struct letter *l = chance(s, 10) ? NULL : free_letter(s);
		if (l)
			*l = (struct letter){.used = true,
				.is_answer = true,
				.to = i,
				.starts = s->replicas[i].starts,
				.answer = {.kind = LEASE_HINTED, .row = s->row, .preferred = i == preferred},
				.at = s->now + transit(s, i)};
	}
}

static void serve(struct stage *s, struct letter *l)
{
	bool up = s->now >= s->database_down_until;
	struct lease_event e = {.kind = LEASE_FAILED, .id = l->orders.id, .sent = l->answer.sent};
	if (up) {
		bool done = lease_row_carry_out(&s->row, &l->orders, l->me, s->timeline, s->wall_ms + s->now);
		e.kind = done ? LEASE_ANSWERED : LEASE_DENIED;
		e.system = 1;
		e.timeline = s->timeline;
		e.server_ms = s->wall_ms + s->now;
		e.row = s->row;
		if (done && l->orders.request != LEASE_OBSERVE)
			remember(s);
		if (done && l->orders.request == LEASE_RELEASE)
			hint(s);
	}
	l->answer = e;
	l->is_answer = true;
	l->at = s->now + transit(s, l->to);
	if (l->is_lost_on_return)
		l->used = false;
}

/* ---- a replica ---- */

static void begin_replica(struct stage *s, int i)
{
	struct replica *r = &s->replicas[i];
	r->starts++;
	snprintf(r->settings.me, sizeof(r->settings.me), "pod-%d/backend/%d", i, r->starts);
	r->epoch = (struct lease_epoch){0};
	r->tree = false;
	r->wake_at = own_time(r, s->now);
	lease_init(&r->lease, &r->settings, &r->epoch, "indexer", r->wake_at);
}

static void send_orders(struct stage *s, int i, const struct lease_orders *o)
{
	struct replica *r = &s->replicas[i];
	bool lost = s->now < r->cut_until || (!s->calm && chance(s, 5));
	struct letter *l = lost ? NULL : free_letter(s);
	check(s, o->request != LEASE_RELEASE || !r->tree, "replica %d releases while its tree lives", i);
	if (!l)
		return;
	*l = (struct letter){.used = true,
		.to = i,
		.starts = r->starts,
		.orders = *o,
		.at = s->now + transit(s, i),
		.is_lost_on_return = !s->calm && chance(s, 5)};
	l->answer.sent = own_time(r, s->now);
	snprintf(l->me, sizeof(l->me), "%s", r->settings.me);
}

static void start_tree(struct stage *s, int i, const struct lease_permit *p)
{
	struct replica *r = &s->replicas[i];
	bool newer = p->timeline > s->granted_timeline ||
		     (p->timeline == s->granted_timeline && p->token >= s->granted_token);
	check(s, newer, "replica %d starts with token (%lld, %lld) after (%lld, %lld)", i, (long long)p->timeline,
		(long long)p->token, (long long)s->granted_timeline, (long long)s->granted_token);
	s->granted_timeline = p->timeline;
	s->granted_token = p->token;
	r->tree = true;
	r->stubborn = chance(s, 30);
	r->tree_ends_at = CLOCK_NEVER;
}

static void obey(struct stage *s, int i)
{
	struct replica *r = &s->replicas[i];
	struct lease_permit p = lease_permit(&r->lease, own_time(r, s->now));
	if (p.run && r->wanted && !r->tree)
		start_tree(s, i, &p);
	if (!r->tree)
		return;
	r->tree_deadline = p.deadline;
	if (p.kill)
		r->tree_ends_at = s->now;
	else if (p.stop && r->tree_ends_at == CLOCK_NEVER)
		r->tree_ends_at = s->now + (r->stubborn ? 20000 : up_to(s, 3000));
}

static bool is_awake(const struct stage *s, const struct replica *r)
{
	return s->now >= r->paused_until && s->now >= r->dead_until;
}

static void think(struct stage *s, int i)
{
	struct replica *r = &s->replicas[i];
	plan_clear(&s->plan);
	struct turn t = {.now = own_time(r, s->now), .random = &s->random, .journal = &s->journal, .plan = &s->plan};
	struct lease_wish wish = {.wanted = r->wanted, .tree = r->tree};
	struct lease_orders o = lease_plan(&r->lease, wish, &t);
	if (o.request)
		send_orders(s, i, &o);
	r->wake_at = s->plan.wake_at;
	obey(s, i);
}

static void receive(struct stage *s, struct letter *l)
{
	struct replica *r = &s->replicas[l->to];
	struct lease_event e = l->answer;
	l->used = false;
	if (r->starts != l->starts || s->now < r->cut_until)
		return;
	e.received = own_time(r, s->now);
	struct turn t = {.now = e.received, .random = &s->random, .journal = &s->journal, .plan = &s->plan};
	lease_apply(&r->lease, &e, &t);
	think(s, l->to);
	/* The worst time to lose the way: right after an answer that took long. */
	if (!s->calm && s->now - s->cut_over > 5000 && e.received - e.sent > 3500 && chance(s, 80))
		s->cut_over = r->cut_until = s->now + 30000;
}

/* ---- the promises ---- */

static void watch(struct stage *s)
{
	int held = 0, trees = 0;
	for (int i = 0; i < REPLICAS; i++) {
		const struct replica *r = &s->replicas[i];
		held += s->now >= r->dead_until && lease_is_held(&r->lease, own_time(r, s->now));
		trees += r->tree;
	}
	check(s, trees <= 1, "two trees live at once");
	check(s, held <= 1, "two replicas hold it at once");
}

/* ---- time ---- */

/* SIGKILL or the end of its own: the shim's deadline counts even while podvisor is stopped. */
static ms_t tree_end(const struct replica *r)
{
	return r->tree ? clock_earlier(r->tree_ends_at, true_time(r, r->tree_deadline)) : CLOCK_NEVER;
}

static ms_t wake_time(const struct stage *s, const struct replica *r)
{
	ms_t at = true_time(r, r->wake_at), least = r->paused_until > r->dead_until ? r->paused_until : r->dead_until;
	at = at > least ? at : least;
	return at > s->now ? at : s->now;
}

static ms_t letter_time(const struct stage *s, const struct letter *l)
{
	if (!l->used)
		return CLOCK_NEVER;
	const struct replica *r = &s->replicas[l->to];
	return l->is_answer && l->at < r->paused_until && l->starts == r->starts ? r->paused_until : l->at;
}

static ms_t next_time(const struct stage *s)
{
	ms_t at = CLOCK_NEVER;
	for (int i = 0; i < REPLICAS; i++)
		at = clock_earlier(at, clock_earlier(tree_end(&s->replicas[i]), wake_time(s, &s->replicas[i])));
	for (int i = 0; i < LETTERS; i++)
		at = clock_earlier(at, letter_time(s, &s->letters[i]));
	return at > s->now ? at : s->now;
}

static void end_trees(struct stage *s)
{
	for (int i = 0; i < REPLICAS; i++) {
		struct replica *r = &s->replicas[i];
		if (!clock_due(tree_end(r), s->now))
			continue;
		r->tree = false;
		r->wake_at = own_time(r, s->now);
	}
}

static void deliver(struct stage *s)
{
	for (int i = 0; i < LETTERS; i++) {
		struct letter *l = &s->letters[i];
		if (!clock_due(letter_time(s, l), s->now))
			continue;
		if (l->is_answer)
			receive(s, l);
		else
			serve(s, l);
		watch(s);
	}
}

static void step(struct stage *s)
{
	s->steps++;
	end_trees(s);
	deliver(s);
	for (int i = 0; i < REPLICAS; i++) {
		struct replica *r = &s->replicas[i];
		if (is_awake(s, r) && clock_due(r->wake_at, own_time(r, s->now)))
			think(s, i);
		watch(s);
	}
}

static void run_until(struct stage *s, ms_t end)
{
	uint64_t at_once = 0;
	while (next_time(s) <= end) {
		ms_t next = next_time(s);
		at_once = next == s->now ? at_once + 1 : 0;
		check(s, at_once < 1000, "it never comes to rest");
		s->now = next;
		step(s);
	}
	s->now = end;
}

/* ---- trouble ---- */

static void kill_replica(struct stage *s, struct replica *r)
{
	r->dead_until = s->now + up_to(s, 30000);
	r->paused_until = 0;
	begin_replica(s, (int)(r - s->replicas));
	r->settings.predecessor_is_gone = chance(s, 50);
}

static void strike(struct stage *s)
{
	struct replica *r = &s->replicas[random_below(&s->random, REPLICAS)];
	switch (random_below(&s->random, 10)) {
	case 0:
		r->paused_until = s->now + up_to(s, 60000);
		break;
	case 1:
		kill_replica(s, r);
		break;
	case 2:
		fail_over(s);
		break;
	case 3:
	case 7:
		s->database_down_until = s->now + up_to(s, 30000);
		break;
	case 8:
	case 9:
		s->replicas[0].cut_until = s->now + up_to(s, 40000);
		break;
	case 4:
		s->wall_ms += up_to(s, 7200000) - 3600000;
		break;
	default:
		r->wanted = !r->wanted;
		break;
	}
}

/* With the database there and somebody who wants it, it is held again. */
static void expect_held_again(struct stage *s)
{
	const struct lease_settings *c = &s->replicas[0].settings;
	s->calm = true;
	s->database_down_until = 0;
	for (int i = 0; i < REPLICAS; i++) {
		s->replicas[i].wanted = true;
		s->replicas[i].paused_until = s->replicas[i].dead_until = s->replicas[i].cut_until = 0;
		s->replicas[i].wake_at = own_time(&s->replicas[i], s->now);
	}
	/* What was on its way before may still change the row for 40 s; then a failover's term, a holder's, and the
	 * slowest clock's share of both. A stubborn worker takes 20 s to end. */
	run_until(s, s->now + 62000 + (2 * c->ttl + c->renew + c->attempt) * 5 / 4);
	int trees = 0;
	for (int i = 0; i < REPLICAS; i++)
		trees += s->replicas[i].tree;
	check(s, trees == 1, "the database lives, and nobody holds it");
	s->calm = false;
}

/* Any settings that the configuration admits: renew + attempt < drain_at < kill_at <= 80% of ttl. */
static struct lease_settings settings(struct stage *s)
{
	struct lease_settings c = {.ttl = 15000, .renew = 3000, .attempt = 2000, .drain_at = 9000, .kill_at = 12000};
	if (chance(s, 50))
		c.renew = 1000 + up_to(s, 2000), c.drain_at = 11500, c.attempt = 1000 + up_to(s, 7000);
	return c;
}

static void begin(struct stage *s, uint64_t seed)
{
	s->seed = seed;
	s->random.state = seed;
	s->timeline = 1 + up_to(s, 3);
	remember(s);
	plan_init(&s->plan);
	struct lease_settings c = settings(s);
	for (int i = 0; i < REPLICAS; i++) {
		struct replica *r = &s->replicas[i];
		r->settings = c;
		r->slow_percent = i == 0 && chance(s, 80) ? 60 : 8;
		r->ppm = (int)up_to(s, 180000) - 80000; /* ratio of any two: less than 1.25 */
		r->offset = up_to(s, 1000000);
		r->wanted = true;
		begin_replica(s, i);
	}
}

uint64_t leases_live(uint64_t seed)
{
	struct stage *s = calloc(1, sizeof(*s));
	assert_non_null(s);
	begin(s, seed);
	for (int i = 0; i < 60; i++) {
		strike(s);
		run_until(s, s->now + up_to(s, chance(s, 50) ? 2000 : 20000));
		if (chance(s, 4))
			expect_held_again(s);
	}
	expect_held_again(s);
	uint64_t steps = s->steps;
	plan_fini(&s->plan);
	free(s);
	return steps;
}
