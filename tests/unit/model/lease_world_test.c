/* What leases do to workers, in a whole world: who is asked, who runs, who is killed, and when podvisor may end. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/reconcile.h"
#include "podvisor/model/reload.h"
#include "podvisor/model/verdict.h"
#include "podvisor/model/world.h"

#define LEASED(worker)                                                                                    \
	"{\"instance\": \"pod-a\", \"postgres\": {\"main\": {\"dsn\": \"service=x\"}}, "                  \
	"\"leases\": {\"postgres\": \"main\"}, \"workers\": {\"one\": {\"command\": [\"x\"], \"lease\": " \
	"\"indexer\"" worker "}}}"

struct stage {
	struct world *world;
	struct plan plan;
	ms_t now;
	struct lease_orders orders; /* the newest */
	int spawns, signals, kills, deadlines, activations, exits;
	int64_t deadline;
};

static struct config *parse(const char *text)
{
	static struct config_report report;
	struct config_source source = {0};
	struct config *config = config_parse(text, strlen(text), &source, &report);
	if (!config)
		fail_msg("%s: %s", report.items[0].path, report.items[0].text);
	return config;
}

static void set_stage(struct stage *s, const char *text)
{
	struct config *config = parse(text);
	*s = (struct stage){.now = 100000};
	s->world = world_new(config, 7, s->now);
	assert_non_null(s->world);
	config_release(config);
	plan_init(&s->plan);
}

static void strike_stage(struct stage *s)
{
	plan_fini(&s->plan);
	world_free(s->world);
}

static const struct worker *one(const struct stage *s)
{
	return &s->world->workers[0];
}

static const struct lease *lease_of(const struct stage *s)
{
	assert_int_equal(s->world->leases.n, 1);
	return &s->world->leases.entries[0]->lease;
}

static void note(struct stage *s, const struct effect *e)
{
	s->spawns += e->kind == EFFECT_WORKER_SPAWN;
	s->signals += e->kind == EFFECT_WORKER_SIGNAL;
	s->kills += e->kind == EFFECT_WORKER_KILL;
	s->activations += e->kind == EFFECT_WORKER_ACTIVATE;
	s->exits += e->kind == EFFECT_EXIT;
	if (e->kind == EFFECT_WORKER_DEADLINE)
		s->deadlines++, s->deadline = e->value;
	if (e->kind == EFFECT_LEASE_ASK)
		s->orders = s->world->leases.entries[e->slot]->orders;
}

static void turn(struct stage *s)
{
	reconcile(s->world, s->now, s->now, &s->plan);
	for (size_t i = 0; i < s->plan.count; i++)
		note(s, &s->plan.effects[i]);
	reconcile(s->world, s->now, s->now, &s->plan);
	assert_int_equal(s->plan.count, 0);
}

static void pass(struct stage *s, ms_t span)
{
	s->now += span;
	turn(s);
}

static void tell(struct stage *s, struct event e)
{
	world_apply(s->world, &e, s->now);
	turn(s);
}

/* As the row is now; holder "me": this replica. */
static void answer(struct stage *s, enum event_kind kind, int64_t token, const char *holder)
{
	struct event e = {.kind = kind, .run = s->orders.id};
	e.lease.sent = e.lease.received = s->now;
	e.lease.system = 1;
	e.lease.timeline = e.lease.granted_on = 3;
	e.lease.token = token;
	e.lease.seq = token;
	snprintf(e.text, sizeof(e.text), "%s", strcmp(holder, "me") == 0 ? s->world->leases.settings.me : holder);
	tell(s, e);
}

static void is_granted(struct stage *s)
{
	turn(s);
	assert_int_equal(s->orders.request, LEASE_OBSERVE);
	answer(s, EVENT_LEASE_ANSWERED, 4, "");
	assert_int_equal(s->orders.request, LEASE_ACQUIRE);
	answer(s, EVENT_LEASE_ANSWERED, 5, "me");
	assert_int_equal(lease_of(s)->state, LEASE_HELD);
}

static void starts(struct stage *s)
{
	tell(s, (struct event){.kind = EVENT_WORKER_STARTED, .run = one(s)->run, .pid = 100});
}

static void ends(struct stage *s, int status)
{
	uint64_t run = one(s)->run;
	struct event e = {.kind = EVENT_WORKER_EXITED, .run = run};
	e.exited.status = status;
	world_apply(s->world, &e, s->now);
	tell(s, (struct event){.kind = EVENT_WORKER_GONE, .run = run});
}

static bool is_ready(const struct stage *s)
{
	struct verdict v;
	verdict_of(s->world, VERDICT_READY, (const char *const[]){"postgres:main", NULL}, s->now, &v);
	return v.ok;
}

static void a_worker_waits_for_its_lease_and_says_who_has_it(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(", \"critical\": true"));
	turn(&s);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_string_equal(one(&s)->reason, "lease indexer was not looked at yet");
	answer(&s, EVENT_LEASE_ANSWERED, 4, "pod-b/0123");
	assert_string_equal(one(&s)->reason, "lease indexer is held by pod-b");
	assert_int_equal(s.spawns, 0);
	assert_true(is_ready(&s));
	strike_stage(&s);
}

static void a_granted_lease_starts_it_with_the_token_and_a_deadline(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	is_granted(&s);
	assert_int_equal(s.spawns, 1);
	assert_int_equal(one(&s)->fencing_token, (INT64_C(3) << 40) + 5);
	assert_int_equal(one(&s)->lease_deadline, s.now + 12000);
	starts(&s);
	assert_int_equal(one(&s)->state, WORKER_READY);
	strike_stage(&s);
}

static void each_renewal_moves_the_deadline_of_the_shim(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	is_granted(&s);
	starts(&s);
	pass(&s, 3300);
	assert_int_equal(s.orders.request, LEASE_RENEW);
	answer(&s, EVENT_LEASE_ANSWERED, 5, "me");
	assert_int_equal(s.deadlines, 1);
	assert_int_equal(s.deadline, s.now + 12000);
	strike_stage(&s);
}

static void without_an_answer_it_is_asked_to_end_and_then_killed(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(", \"stop\": {\"timeout\": \"1m\"}"));
	is_granted(&s);
	starts(&s);
	pass(&s, 8999);
	assert_int_equal(s.signals, 0);
	pass(&s, 1);
	assert_int_equal(s.signals, 1);
	assert_int_equal(one(&s)->state, WORKER_STOPPING);
	pass(&s, 2999);
	assert_int_equal(s.kills, 0);
	pass(&s, 1);
	assert_int_equal(s.kills, 1);
	assert_int_equal(lease_of(&s)->kills, 1);
	ends(&s, SIGKILL);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_int_equal(one(&s)->restarts[CAUSE_LEASE], 1);
	strike_stage(&s);
}

static void the_token_of_an_object_is_what_the_object_says(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	assert_int_equal(lease_book_token(&s.world->leases, 2, 7), 2 * ((int64_t)1 << 40) + 7);
	strike_stage(&s);
	set_stage(&s, "{\"leases\": {\"backend\": \"kubernetes\"}}");
	assert_int_equal(lease_book_token(&s.world->leases, 1, 7), 7);
	strike_stage(&s);
}

#define WARM ", \"standby\": \"warm\", \"critical\": true"

static void one_that_stands_by_warm_has_a_process_and_no_tree(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(WARM));
	turn(&s);
	assert_int_equal(s.spawns, 1);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_int_equal(one(&s)->fencing_token, 0);
	assert_int_equal(one(&s)->lease_deadline, CLOCK_NEVER);
	starts(&s);
	answer(&s, EVENT_LEASE_ANSWERED, 4, "pod-b/0123");
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_string_equal(one(&s)->reason, "lease indexer is held by pod-b");
	assert_false(s.world->leases.entries[0]->wish.tree);
	assert_true(s.world->leases.entries[0]->wish.wanted);
	assert_true(is_ready(&s));
	pass(&s, 60000);
	assert_int_equal(s.signals + s.kills + s.activations, 0);
	strike_stage(&s);
}

static void a_granted_lease_activates_it_with_token_and_deadline_and_it_is_a_tree_then(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(WARM));
	is_granted(&s);
	assert_int_equal(s.activations, 0); /* there is nothing to signal yet */
	starts(&s);
	assert_int_equal(s.activations, 1);
	assert_int_equal(s.spawns, 1);
	assert_int_equal(one(&s)->state, WORKER_READY);
	assert_int_equal(one(&s)->fencing_token, (INT64_C(3) << 40) + 5);
	assert_int_equal(one(&s)->lease_deadline, s.now + 12000);
	assert_true(s.world->leases.entries[0]->wish.tree);
	pass(&s, 3300);
	answer(&s, EVENT_LEASE_ANSWERED, 5, "me");
	assert_int_equal(s.deadline, s.now + 12000);
	strike_stage(&s);
}

static void one_that_was_activated_ends_with_its_lease_and_another_stands_by(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(WARM));
	is_granted(&s);
	starts(&s);
	pass(&s, 12000);
	assert_int_equal(s.kills, 1);
	ends(&s, SIGKILL);
	assert_int_equal(s.spawns, 2);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_int_equal(one(&s)->restarts[CAUSE_LEASE], 1);
	assert_int_equal(one(&s)->fencing_token, 0);
	assert_int_equal(lease_of(&s)->state, LEASE_RELEASING);
	strike_stage(&s);
}

static void one_that_stands_by_warm_is_stopped_like_any_other_and_without_its_stop_command(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(WARM ", \"stop\": {\"command\": [\"x\"]}"));
	turn(&s);
	starts(&s);
	tell(&s, (struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = 1});
	assert_int_equal(s.signals, 1);
	ends(&s, SIGTERM);
	assert_int_equal(one(&s)->state, WORKER_STOPPED);
	assert_int_equal(s.spawns, 1);
	strike_stage(&s);
}

static void one_whose_warm_process_ends_starts_another_after_its_back_off(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(WARM));
	turn(&s);
	starts(&s);
	ends(&s, 1 << 8);
	assert_int_equal(one(&s)->restarts[CAUSE_EXIT], 1);
	pass(&s, 60000);
	assert_int_equal(s.spawns, 2);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_int_equal(s.activations, 0);
	strike_stage(&s);
}

static void one_that_keeps_without_a_database_has_no_deadline(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(", \"on_database_loss\": \"keep\""));
	is_granted(&s);
	starts(&s);
	pass(&s, 60000);
	assert_int_equal(one(&s)->lease_deadline, CLOCK_NEVER);
	assert_int_equal(s.signals + s.kills + s.deadlines, 0);
	assert_int_equal(one(&s)->state, WORKER_READY);
	strike_stage(&s);
}

static void one_that_was_killed_by_its_shim_while_podvisor_slept_has_not_failed(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	is_granted(&s);
	starts(&s);
	s.now += 60000;
	ends(&s, SIGKILL);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_int_equal(one(&s)->restarts[CAUSE_LEASE], 1);
	assert_int_equal(lease_of(&s)->kills, 1);
	strike_stage(&s);
}

static void a_lease_that_another_has_taken_kills_at_once_without_a_stop_command(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(", \"stop\": {\"command\": [\"y\"]}"));
	is_granted(&s);
	starts(&s);
	pass(&s, 3300);
	answer(&s, EVENT_LEASE_DENIED, 0, "");
	assert_int_equal(s.kills, 1);
	assert_int_equal(s.signals, 0);
	assert_int_equal(one(&s)->stop_step, WORKER_STOP_NONE);
	ends(&s, SIGKILL);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	strike_stage(&s);
}

static void on_sigterm_it_stops_then_the_lease_is_released_then_podvisor_ends(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	is_granted(&s);
	starts(&s);
	tell(&s, (struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = 1});
	assert_int_equal(s.signals, 1);
	assert_int_equal(s.orders.request, LEASE_ACQUIRE);
	ends(&s, 0);
	assert_int_equal(s.orders.request, LEASE_RELEASE);
	assert_int_equal(s.exits, 0);
	tell(&s, (struct event){.kind = EVENT_POSTGRES_CLOSED, .run = s.world->databases[0].run});
	answer(&s, EVENT_LEASE_ANSWERED, 5, "");
	assert_int_equal(lease_of(&s)->state, LEASE_OFF);
	pass(&s, 1);
	assert_int_equal(s.exits, 1);
	strike_stage(&s);
}

static void a_release_that_nobody_answers_does_not_hold_up_the_end_for_long(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	is_granted(&s);
	starts(&s);
	tell(&s, (struct event){.kind = EVENT_ASKED_SHUTDOWN, .count = 1});
	ends(&s, 0);
	tell(&s, (struct event){.kind = EVENT_POSTGRES_CLOSED, .run = s.world->databases[0].run});
	pass(&s, 1999);
	assert_int_equal(s.exits, 0);
	pass(&s, 1);
	pass(&s, 1);
	assert_int_equal(s.exits, 1);
	strike_stage(&s);
}

static void a_worker_that_somebody_stops_leaves_its_lease_to_others(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	is_granted(&s);
	starts(&s);
	tell(&s, (struct event){.kind = EVENT_ASKED_STOP});
	ends(&s, 0);
	assert_int_equal(one(&s)->state, WORKER_STOPPED);
	assert_int_equal(s.orders.request, LEASE_RELEASE);
	strike_stage(&s);
}

static void one_that_fails_for_good_leaves_its_lease_to_others(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(", \"restart\": {\"policy\": \"never\"}"));
	is_granted(&s);
	starts(&s);
	ends(&s, 1 << 8);
	assert_int_equal(one(&s)->state, WORKER_FAILED);
	pass(&s, 0);
	assert_int_equal(s.orders.request, LEASE_RELEASE);
	strike_stage(&s);
}

static void one_that_crashes_keeps_its_lease_and_starts_again_under_it(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	is_granted(&s);
	starts(&s);
	ends(&s, 1 << 8);
	pass(&s, 200);
	assert_int_equal(s.spawns, 2);
	assert_int_equal(one(&s)->fencing_token, (INT64_C(3) << 40) + 5);
	assert_int_equal(one(&s)->lease_deadline, s.now - 200 + 12000);
	strike_stage(&s);
}

static void who_could_not_run_does_not_ask_for_the_lease(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(", \"depends_on\": [\"postgres:main\"]"));
	turn(&s);
	assert_int_equal(one(&s)->state, WORKER_WAITING);
	assert_int_equal(lease_of(&s)->state, LEASE_OFF);
	assert_int_equal(s.orders.request, LEASE_NOTHING);
	strike_stage(&s);
}

static void a_job_in_standby_owes_nothing_when_its_turn_comes(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(", \"kind\": \"job\", \"every\": \"1s\""));
	turn(&s);
	answer(&s, EVENT_LEASE_ANSWERED, 4, "pod-b/0123");
	for (int i = 0; i < 10; i++)
		pass(&s, 1000);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_false(one(&s)->schedule.owed);
	strike_stage(&s);
}

static void leases_of_another_database_are_refused_and_it_is_told(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, LEASED(""));
	turn(&s);
	answer(&s, EVENT_LEASE_ANSWERED, 4, "pod-b/0123");
	s.now = s.plan.wake_at; /* the next look */
	turn(&s);
	struct event e = {.kind = EVENT_LEASE_ANSWERED, .run = s.orders.id};
	e.lease.sent = e.lease.received = s.now;
	e.lease.system = 2;
	e.lease.timeline = e.lease.granted_on = 9;
	tell(&s, e);
	assert_non_null(strstr(one(&s)->reason, "the database is another one than before"));
	for (int i = 0; i < 20; i++)
		pass(&s, 2000);
	assert_int_equal(s.spawns, 0);
	strike_stage(&s);
}

static void the_times_of_leases_do_not_change_while_podvisor_runs(void **state)
{
	struct stage s;
	struct err err = {0};
	(void)state;
	set_stage(&s, LEASED(""));
	struct config *other = parse("{\"instance\": \"pod-a\", \"postgres\": {\"main\": {\"dsn\": \"service=x\"}}, "
				     "\"leases\": {\"postgres\": \"main\", \"ttl\": \"20s\"}, \"workers\": {}}");
	assert_int_not_equal(reload_apply(s.world, other, s.now, &err), 0);
	assert_string_equal(err.text, "leases: they cannot change while podvisor runs (those of workers can)");
	config_release(other);
	strike_stage(&s);
}

static void a_worker_that_gets_another_lease_stops_under_the_old_one_first(void **state)
{
	struct stage s;
	struct err err = {0};
	(void)state;
	set_stage(&s, LEASED(""));
	is_granted(&s);
	starts(&s);
	struct config *other =
		parse("{\"instance\": \"pod-a\", \"postgres\": {\"main\": {\"dsn\": \"service=x\"}}, "
		      "\"leases\": {\"postgres\": \"main\"}, \"workers\": {\"one\": {\"command\": [\"x\"], "
		      "\"lease\": \"other\"}}}");
	assert_int_equal(reload_apply(s.world, other, s.now, &err), 0);
	config_release(other);
	turn(&s);
	assert_int_equal(s.signals, 1);
	assert_int_equal(s.world->leases.n, 1);
	ends(&s, 0);
	assert_int_equal(s.world->leases.n, 2);
	assert_int_equal(one(&s)->state, WORKER_STANDBY);
	assert_int_equal(s.world->leases.entries[0]->lease.state, LEASE_RELEASING);
	strike_stage(&s);
}

/* ---- spread over replicas ---- */

static void meets(struct stage *s, int n, const char *const *others)
{
	struct event e = {.kind = EVENT_LEASE_MEMBER};
	snprintf(e.text, sizeof(e.text), "%s", s->world->leases.settings.me);
	world_apply(s->world, &e, s->now);
	for (e.count = 1; e.count < n; e.count++) {
		snprintf(e.text, sizeof(e.text), "%s", others[e.count - 1]);
		world_apply(s->world, &e, s->now);
	}
	tell(s, (struct event){.kind = EVENT_LEASE_MET, .count = n});
}

static size_t count_wanted(const struct stage *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->world->leases.n; i++)
		n += s->world->leases.entries[i]->wish.wanted;
	return n;
}

/* Each in turn: observed as free, acquired. */
static void takes_all_that_it_wants(struct stage *s)
{
	struct lease_book *b = &s->world->leases;
	for (int round = 0; round < 2; round++)
		for (uint32_t i = 0; i < b->n; i++) {
			if (!b->entries[i]->lease.request)
				continue;
			struct event e = {.kind = EVENT_LEASE_ANSWERED, .slot = i, .run = b->entries[i]->lease.id};
			e.lease.sent = e.lease.received = s->now;
			e.lease.system = 1;
			e.lease.timeline = e.lease.granted_on = 3;
			e.lease.token = e.lease.seq = 1 + round;
			snprintf(e.text, sizeof(e.text), "%s", round ? b->settings.me : "");
			tell(s, e);
		}
}

static size_t count_state(const struct stage *s, enum lease_state state)
{
	size_t n = 0;
	for (size_t i = 0; i < s->world->leases.n; i++)
		n += s->world->leases.entries[i]->lease.state == state;
	return n;
}

#define SPREAD                                                                                                   \
	"{\"instance\": \"pod-a\", \"postgres\": {\"main\": {\"dsn\": \"service=x\"}}, "                         \
	"\"leases\": {\"postgres\": \"main\"}, \"workers\": {\"one\": {\"command\": [\"x\"], \"instances\": 4, " \
	"\"lease\": {\"name\": \"shard\", \"spread\": true}}}}"

static void each_instance_has_a_lease_and_a_replica_takes_its_share(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, SPREAD);
	turn(&s);
	assert_int_equal(s.world->leases.n, 4);
	assert_string_equal(s.world->leases.entries[3]->name, "shard/3");
	assert_int_equal(count_wanted(&s), 0); /* nobody knows yet who takes part */
	meets(&s, 2, (const char *const[]){"pod-b/1"});
	assert_int_equal(count_wanted(&s), 2);
	takes_all_that_it_wants(&s);
	assert_int_equal(s.spawns, 2);
	assert_int_equal(count_state(&s, LEASE_OFF), 2);
	for (size_t i = 0; i < 4; i++)
		if (s.world->workers[i].state == WORKER_STANDBY)
			assert_non_null(strstr(s.world->workers[i].reason, "is the share of another replica"));
	strike_stage(&s);
}

static void a_replica_more_gets_one_share_in_a_period(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, SPREAD);
	turn(&s);
	meets(&s, 1, NULL);
	takes_all_that_it_wants(&s);
	assert_int_equal(count_state(&s, LEASE_HELD), 4);
	meets(&s, 2, (const char *const[]){"pod-b/1"});
	assert_int_equal(count_state(&s, LEASE_HELD), 3);
	assert_int_equal(s.signals, 1);
	meets(&s, 2, (const char *const[]){"pod-b/1"});
	assert_int_equal(count_state(&s, LEASE_HELD), 2);
	meets(&s, 2, (const char *const[]){"pod-b/1"});
	assert_int_equal(count_state(&s, LEASE_HELD), 2);
	assert_int_equal(s.signals, 2);
	strike_stage(&s);
}

static void shares_of_a_replica_that_went_are_taken_by_those_that_are_left(void **state)
{
	struct stage s;
	(void)state;
	set_stage(&s, SPREAD);
	turn(&s);
	meets(&s, 2, (const char *const[]){"pod-b/1"});
	takes_all_that_it_wants(&s);
	meets(&s, 1, NULL);
	takes_all_that_it_wants(&s);
	assert_int_equal(count_state(&s, LEASE_HELD), 4);
	assert_int_equal(s.signals, 0);
	strike_stage(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_worker_waits_for_its_lease_and_says_who_has_it),
		cmocka_unit_test(a_granted_lease_starts_it_with_the_token_and_a_deadline),
		cmocka_unit_test(each_renewal_moves_the_deadline_of_the_shim),
		cmocka_unit_test(without_an_answer_it_is_asked_to_end_and_then_killed),
		cmocka_unit_test(the_token_of_an_object_is_what_the_object_says),
		cmocka_unit_test(one_that_stands_by_warm_has_a_process_and_no_tree),
		cmocka_unit_test(a_granted_lease_activates_it_with_token_and_deadline_and_it_is_a_tree_then),
		cmocka_unit_test(one_that_was_activated_ends_with_its_lease_and_another_stands_by),
		cmocka_unit_test(one_that_stands_by_warm_is_stopped_like_any_other_and_without_its_stop_command),
		cmocka_unit_test(one_whose_warm_process_ends_starts_another_after_its_back_off),
		cmocka_unit_test(one_that_keeps_without_a_database_has_no_deadline),
		cmocka_unit_test(one_that_was_killed_by_its_shim_while_podvisor_slept_has_not_failed),
		cmocka_unit_test(a_lease_that_another_has_taken_kills_at_once_without_a_stop_command),
		cmocka_unit_test(on_sigterm_it_stops_then_the_lease_is_released_then_podvisor_ends),
		cmocka_unit_test(a_release_that_nobody_answers_does_not_hold_up_the_end_for_long),
		cmocka_unit_test(a_worker_that_somebody_stops_leaves_its_lease_to_others),
		cmocka_unit_test(one_that_fails_for_good_leaves_its_lease_to_others),
		cmocka_unit_test(one_that_crashes_keeps_its_lease_and_starts_again_under_it),
		cmocka_unit_test(who_could_not_run_does_not_ask_for_the_lease),
		cmocka_unit_test(a_job_in_standby_owes_nothing_when_its_turn_comes),
		cmocka_unit_test(leases_of_another_database_are_refused_and_it_is_told),
		cmocka_unit_test(the_times_of_leases_do_not_change_while_podvisor_runs),
		cmocka_unit_test(a_worker_that_gets_another_lease_stops_under_the_old_one_first),
		cmocka_unit_test(each_instance_has_a_lease_and_a_replica_takes_its_share),
		cmocka_unit_test(a_replica_more_gets_one_share_in_a_period),
		cmocka_unit_test(shares_of_a_replica_that_went_are_taken_by_those_that_are_left),
	};
	return cmocka_run_group_tests_name("leases in a world", tests, NULL, NULL);
}
