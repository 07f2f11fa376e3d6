#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/model/journal.h"

static struct journal journal;

static int set_up(void **state)
{
	(void)state;
	journal = (struct journal){0};
	return 0;
}

static void add(int i)
{
	journal_add(&journal, i, LOG_INFO, THING_WORKER, "api", "ready", "entry %d", i);
}

static void an_empty_journal_has_no_entry(void **state)
{
	(void)state;
	assert_null(journal_get(&journal, 0));
	assert_null(journal_get(&journal, 1));
	assert_int_equal(journal_oldest(&journal), 1);
}

static void an_entry_is_kept_as_it_was_told(void **state)
{
	(void)state;
	add(7);
	const struct journal_entry *e = journal_get(&journal, 1);
	assert_non_null(e);
	assert_int_equal(e->at, 7);
	assert_int_equal(e->level, LOG_INFO);
	assert_int_equal(e->thing, THING_WORKER);
	assert_string_equal(e->subject, "api");
	assert_string_equal(e->what, "ready");
	assert_string_equal(e->text, "entry 7");
}

static void the_oldest_gives_way(void **state)
{
	(void)state;
	for (int i = 1; i <= JOURNAL_SIZE + 10; i++)
		add(i);
	assert_int_equal(journal_oldest(&journal), 11);
	assert_null(journal_get(&journal, 10));
	assert_string_equal(journal_get(&journal, 11)->text, "entry 11");
	assert_int_equal(journal_get(&journal, journal.last_seq)->at, JOURNAL_SIZE + 10);
}

static void count_up(void *ctx, const struct journal_entry *e)
{
	uint64_t *told = ctx;
	assert_int_equal(e->seq, ++*told);
}

static void each_entry_is_told_even_when_one_turn_makes_more_than_are_kept(void **state)
{
	uint64_t told = 0;
	(void)state;
	journal.on_entry = count_up;
	journal.ctx = &told;
	for (int i = 0; i < 4 * JOURNAL_SIZE; i++)
		add(i);
	assert_int_equal(told, 4 * JOURNAL_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(an_empty_journal_has_no_entry, set_up),
		cmocka_unit_test_setup(an_entry_is_kept_as_it_was_told, set_up),
		cmocka_unit_test_setup(the_oldest_gives_way, set_up),
		cmocka_unit_test_setup(each_entry_is_told_even_when_one_turn_makes_more_than_are_kept, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
