#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/model/janitor.h"

#define IDLE 600000
#define LOOK 10000

struct room {
	struct janitor j;
	ms_t now;
	char closed[512]; /* ids, in order */
};

static void on_close(void *ctx, enum janitor_kind kind, const char *id, ms_t idle_for)
{
	struct room *r = ctx;
	size_t n = strlen(r->closed);
	assert_true(idle_for >= IDLE);
	snprintf(r->closed + n, sizeof(r->closed) - n, "%s%s ", kind == JANITOR_CONTEXT ? "@" : "", id);
}

static struct janitor_page page(const char *id, const char *context, bool attached)
{
	return (struct janitor_page){.id = id, .context = context, .attached = attached};
}

static void look(struct room *r, const char *context, const struct janitor_page *pages, size_t n, ms_t oldest)
{
	r->now += LOOK;
	janitor_begin(&r->j);
	if (context)
		janitor_see_context(&r->j, context, r->now);
	for (size_t i = 0; i < n; i++)
		janitor_see_page(&r->j, &pages[i], r->now);
	janitor_end(&r->j, IDLE, oldest, r->now, on_close, r);
}

static void a_page_without_a_session_is_closed_in_its_time(void **state)
{
	(void)state;
	struct room r = {.now = 5};
	struct janitor_page pages[] = {page("used", "D", true), page("leaked", "D", false)};
	for (int i = 0; i < IDLE / LOOK; i++)
		look(&r, NULL, pages, 2, 1);
	assert_string_equal(r.closed, "");
	look(&r, NULL, pages, 2, 1);
	assert_string_equal(r.closed, "leaked ");
	look(&r, NULL, pages, 2, 1); /* is not told again at once when Chrome takes its time */
	assert_string_equal(r.closed, "leaked ");
	look(&r, NULL, pages, 1, 1);
	assert_int_equal(r.j.n_things, 1);
	janitor_fini(&r.j);
}

static void whoever_comes_back_to_a_page_has_it_for_as_long_again(void **state)
{
	(void)state;
	struct room r = {.now = 5};
	struct janitor_page away[] = {page("p", "D", false)}, back[] = {page("p", "D", true)};
	for (int i = 0; i < IDLE / LOOK; i++)
		look(&r, NULL, away, 1, 1);
	look(&r, NULL, back, 1, 1);
	for (int i = 0; i < IDLE / LOOK; i++)
		look(&r, NULL, away, 1, 1);
	assert_string_equal(r.closed, "");
	look(&r, NULL, away, 1, 1);
	assert_string_equal(r.closed, "p ");
	janitor_fini(&r.j);
}

static void a_blank_page_stays_for_clients_that_expect_one(void **state)
{
	(void)state;
	struct room r = {.now = 5};
	struct janitor_page pages[] = {page("first", "D", false), page("second", "D", false), page("apart", "C", false),
		page("news", "D", true)};
	pages[0].blank = pages[1].blank = true;
	for (int i = 0; i <= IDLE / LOOK; i++)
		look(&r, "C", pages, 3, 1);
	assert_string_equal(r.closed, "second apart "); /* the session is older than the context */
	look(&r, NULL, pages, 1, 1);
	assert_string_equal(r.closed, "second apart ");
	janitor_fini(&r.j);
}

static void a_context_goes_when_nobody_can_want_it_any_more(void **state)
{
	(void)state;
	struct room r = {.now = 5};
	for (int i = 0; i <= 2 * IDLE / LOOK; i++)
		look(&r, "C", NULL, 0, 1); /* a session that is older may have made it */
	assert_string_equal(r.closed, "");
	look(&r, "C", NULL, 0, r.now);
	assert_string_equal(r.closed, "@C ");
	r.closed[0] = '\0';
	struct janitor_page used[] = {page("p", "C", true)};
	for (int i = 0; i <= IDLE / LOOK; i++)
		look(&r, "C", used, 1, r.now);
	assert_string_equal(r.closed, "");
	for (int i = 0; i <= IDLE / LOOK; i++)
		look(&r, "C", NULL, 0, 0);
	assert_string_equal(r.closed, "@C ");
	janitor_fini(&r.j);
}

static void nothing_is_closed_when_it_is_off(void **state)
{
	(void)state;
	struct room r = {.now = 5};
	struct janitor_page p = page("p", "D", false);
	for (int i = 0; i < 200; i++) {
		r.now += LOOK;
		janitor_begin(&r.j);
		janitor_see_page(&r.j, &p, r.now);
		janitor_end(&r.j, 0, 0, r.now, on_close, &r);
	}
	assert_string_equal(r.closed, "");
	janitor_fini(&r.j);
}

static void more_than_can_be_remembered_is_seen_later(void **state)
{
	(void)state;
	struct room r = {.now = 5};
	char ids[JANITOR_MOST + 10][16];
	janitor_begin(&r.j);
	for (size_t i = 0; i < JANITOR_MOST + 10; i++) {
		snprintf(ids[i], sizeof(ids[i]), "p%zu", i);
		struct janitor_page p = page(ids[i], "D", true);
		janitor_see_page(&r.j, &p, r.now);
	}
	janitor_see_page(&r.j,
		&(struct janitor_page){
			.id = "an id that is longer than any that Chrome gives to a page", .context = ""},
		r.now);
	janitor_end(&r.j, IDLE, 0, r.now, on_close, &r);
	assert_int_equal(r.j.n_things, JANITOR_MOST);
	janitor_fini(&r.j);
}

static void a_process_spins_when_it_does_so_all_the_time(void **state)
{
	(void)state;
	struct janitor j;
	int64_t pids[2];
	ms_t now = 1;
	double spins = 0, rests = 0;
	janitor_init(&j);
	for (int i = 0; i <= 6; i++, now += LOOK) {
		janitor_begin(&j);
		janitor_see_process(&j, 7, spins, now);
		janitor_see_process(&j, 8, rests, now);
		assert_int_equal(janitor_spinning(&j, 60000, now, pids, 2), i == 6);
		spins += 9.5;
		rests += i == 3 ? 1 : 9.5;
	}
	assert_int_equal(pids[0], 7);
	now -= LOOK;
	assert_int_equal(janitor_spinning(&j, 0, now, pids, 2), 0); /* off */
	janitor_forgive(&j, 7, now);
	assert_int_equal(janitor_spinning(&j, 60000, now, pids, 2), 0);
	janitor_begin(&j);
	janitor_begin(&j); /* gone meanwhile */
	assert_int_equal(j.n_processes, 0);
	janitor_fini(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_page_without_a_session_is_closed_in_its_time),
		cmocka_unit_test(whoever_comes_back_to_a_page_has_it_for_as_long_again),
		cmocka_unit_test(a_blank_page_stays_for_clients_that_expect_one),
		cmocka_unit_test(a_context_goes_when_nobody_can_want_it_any_more),
		cmocka_unit_test(nothing_is_closed_when_it_is_off),
		cmocka_unit_test(more_than_can_be_remembered_is_seen_later),
		cmocka_unit_test(a_process_spins_when_it_does_so_all_the_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
