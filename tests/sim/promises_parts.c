/* What must hold of the browser, the database and the pod as a whole. */
#include "podvisor/model/verdict.h"
#include "promises.h"

void promise_wake(struct sim *s, ms_t by, const char *name)
{
	CHECK(s, s->ended || s->plan.wake_at <= by,
		"%s: something is to be done by %lld ms, but nobody wakes up for it", name, (long long)by);
}

/* Two Chromes never share a profile, and a new one starts beside at most one, that is not about to end. */
void promise_places(struct sim *s, const struct effect *e)
{
	int beside = 0;
	for (size_t i = 0; i < s->n_alive; i++) {
		const struct run *r = &s->runs[s->alive[i]];
		CHECK(s, !r->browser || (r->served && !r->ending), "a browser is launched beside run %llu, which %s",
			(unsigned long long)s->alive[i], r->served ? "ends" : "does not serve");
		beside += r->browser;
	}
	CHECK(s, beside <= 1, "a browser is launched beside %d others", beside);
	CHECK(s, e->value > s->browser_generation, "generation %lld was there before", (long long)e->value);
}

static bool is_proven_after(const struct sim *s, uint64_t run)
{
	while (++run < s->world->next_run)
		if (books_is_proven(s, run))
			return true;
	return false;
}

/* Where there is room for two, the old one takes sessions until a new one has proven itself. */
void promise_swap(struct sim *s, const struct effect *e)
{
	CHECK(s, !s->roomy || books_is_rushed(e) || is_proven_after(s, e->run),
		"run %llu takes no sessions any more before another can", (unsigned long long)e->run);
}

/* Sessions go only to a Chrome that has answered on every rung. */
void promise_proof(struct sim *s, const struct effect *e)
{
	CHECK(s, books_is_proven(s, e->run), "the browser's run %llu is served before it has answered on every rung",
		(unsigned long long)e->run);
}

static bool may_run(struct sim *s, const struct browser *b)
{
	const struct drain *d = &s->world->drain;
	bool off = d->shutdown && d->state != DRAIN_SERVING;
	bool needed = d->signals < 3 && books_is_needed(s, THING_BROWSER, b->config->name);
	return b->wanted && (!off || needed);
}

/* No session is cut by a swap before its drain is over; without room for two it may be shorter. */
void promise_drain_time(struct sim *s, const struct effect *e)
{
	const struct run *r = &s->runs[e->run];
	const struct browser *b = &s->world->browsers[0];
	if (!r->retired_at || r->ending || r->life != LIFE_RUNS || !r->sessions || !may_run(s, b) ||
		e->kind != EFFECT_BROWSER_CLOSE)
		return;
	ms_t drain = s->roomy && !r->rushed ? b->config->drain : BROWSER_SHORT_DRAIN_MS;
	CHECK(s, s->now >= r->retired_at + drain, "run %llu ends with %lld sessions %lld ms after it was retired",
		(unsigned long long)e->run, (long long)r->sessions, (long long)(s->now - r->retired_at));
}

static void check_end_of(struct sim *s, const struct generation *g, ms_t now)
{
	if (!g->run || g->state == GENERATION_CLEANING)
		return;
	CHECK(s, g->state == GENERATION_STOPPING, "the browser is not wanted any more and is %s",
		generation_state_name(g->state));
	ms_t patience = s->world->drain.signals < 3 ? BROWSER_CLOSE_MS + BROWSER_TERM_MS : 0;
	CHECK(s, now < s->browser_end_at + patience || s->runs[g->run].killed,
		"the browser was to end within %lld ms and was not killed then", (long long)patience);
	if (!s->runs[g->run].killed)
		promise_wake(s, s->browser_end_at + patience + s->overslept, "chrome");
}

/* It ends once nobody wants it: SIGKILL after Browser.close and SIGTERM have had their time, from the turn on that each
 * of them began in; at a third signal at once. */
void promise_browser_end(struct sim *s)
{
	const struct browser *b = &s->world->browsers[0];
	ms_t now = s->now - s->overslept;
	if (!browser_is_up(b) || may_run(s, b)) {
		s->browser_end_at = CLOCK_NEVER;
		return;
	}
	if (s->browser_end_at == CLOCK_NEVER)
		s->browser_end_at = now;
	for (int i = 0; i < BROWSER_GENERATIONS; i++)
		check_end_of(s, &b->generations[i], now);
}

/* It comes back at once, or within the longest back-off. */
void promise_browser_return(struct sim *s)
{
	const struct browser *b = &s->world->browsers[0];
	bool waits = b->state == BROWSER_WAITING && may_run(s, b) && !browser_is_up(b) &&
		     s->world->volumes[0].state == VOLUME_READY;
	CHECK(s, !waits, "the browser waits (%s), and nobody knows for what", b->reason);
	CHECK(s, b->state != BROWSER_BACKOFF || b->not_before - b->since <= 72000, "the browser waits for %lld ms",
		(long long)(b->not_before - b->since));
}

/* One check at a time on each of its two paths: answers cannot be mistaken for each other. */
void promise_single_check(struct sim *s, const struct effect *e)
{
	uint64_t *under_way = &s->checks_under_way[e->kind == EFFECT_POSTGRES_CANARY];
	CHECK(s, !*under_way, "%s, while that of run %llu is under way", effect_name(e->kind),
		(unsigned long long)*under_way);
	*under_way = e->run;
}

/* A second signal skips what remains of the drain. */
void promise_hurry(struct sim *s)
{
	const struct drain *d = &s->world->drain;
	CHECK(s, d->signals < 2 || d->state >= DRAIN_STOPPING, "it is %s after %d signals", drain_state_name(d->state),
		d->signals);
}

/* Podvisor ends within shutdown.deadline and the two seconds after it, whatever hangs. */
void promise_deadline(struct sim *s)
{
	if (s->world->drain.shutdown && !s->shutdown_at)
		s->shutdown_at = s->now;
	ms_t by = s->shutdown_at + s->world->config->shutdown.deadline + 2000;
	if (!s->shutdown_at || s->ended)
		return;
	CHECK(s, s->now < by, "podvisor was to end by %lld ms (%s)", (long long)by,
		drain_state_name(s->world->drain.state));
	promise_wake(s, by, "podvisor");
}

/* Nothing is left running, but for what SIGKILL does not end; then podvisor says so. */
void promises_of_the_end(struct sim *s)
{
	for (size_t i = 0; i < s->n_alive; i++)
		CHECK(s, s->world->left_behind && s->runs[s->alive[i]].life == LIFE_ENDED,
			"run %llu is still there at the end", (unsigned long long)s->alive[i]);
	CHECK(s, s->world->left_behind || !s->volume_prepared, "the volume was not released");
	CHECK(s, s->world->left_behind || s->world->drain.gateway_closed, "the gateway has not told how it ended");
	CHECK(s, !s->world->left_behind || s->exit_code, "something was left behind, and the exit code is 0");
}

/* The journal tells in the order in which it happened, each entry in words. */
void promises_of_journal(void *sim, const struct journal_entry *e)
{
	struct sim *s = sim;
	CHECK(s, e->at == s->now && e->seq == s->told_seq + 1, "the journal tells of %lld ms at %lld ms",
		(long long)e->at, (long long)s->now);
	CHECK(s, e->what[0], "an entry of the journal has no name: %s", e->text);
	if (s->traced)
		print_message("%10lld ms  %s %s\n", (long long)e->at, e->subject, e->text);
	s->told_seq = e->seq;
}

/* Each effect says why. */
void promise_reason(struct sim *s, const struct effect *e)
{
	CHECK(s, e->reason[0], "%s has no reason", effect_name(e->kind));
}

/* Ready is only who has everything critical; what has started once has started; live is who answers. */
void promise_verdicts(struct sim *s)
{
	static struct verdict live, ready, startup;
	verdict_of(s->world, VERDICT_LIVE, NULL, s->now, &live);
	verdict_of(s->world, VERDICT_READY, NULL, s->now, &ready);
	verdict_of(s->world, VERDICT_STARTUP, NULL, s->now, &startup);
	CHECK(s, live.ok, "it is not live");
	CHECK(s, startup.ok || !s->started_once, "it had started, and has not");
	s->started_once |= startup.ok;
	bool closed = s->world->config->gateway.present && !s->world->drain.gateway_listening;
	CHECK(s, !ready.ok || !closed, "it is ready, but the gateway does not listen");
	EACH_WORKER(s, w)
	CHECK(s, !ready.ok || w->removed || !w->config->critical || worker_is_available(w), "it is ready, but %s is %s",
		w->name, worker_state_name(w->state));
	for (size_t i = 0; i < ready.count; i++)
		CHECK(s, ready.items[i].ok || ready.items[i].text[0], "%s is not ready and says nothing",
			ready.items[i].name);
}
