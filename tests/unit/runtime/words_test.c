#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/runtime/words.h"

static char told[4096];

static void tell(void *ctx, const struct word *word)
{
	assert_ptr_equal(ctx, told);
	size_t n = strlen(told);
	snprintf(told + n, sizeof(told) - n, "%s:%.*s@%d|", word->subject, (int)word->text.len, word->text.at,
		(int)word->wall_ms);
}

static bool keep(struct words *w, const char *text, int64_t wall_ms)
{
	char subject[] = "api", copy[100];
	snprintf(copy, sizeof(copy), "%s", text);
	const struct word word = {.subject = subject, .text = span_of(copy), .wall_ms = wall_ms};
	bool kept = words_keep(w, &word);
	memset(copy, 'x', sizeof(copy));
	return kept;
}

static void what_waits_is_told_in_its_order_and_once(void **state)
{
	struct words w;
	(void)state;
	words_init(&w);
	assert_true(keep(&w, "succeeded", 7));
	assert_true(keep(&w, "", 8));
	assert_true(keep(&w, "starting", 9));
	words_release(&w, tell, told);
	assert_string_equal(told, "api:succeeded@7|api:@8|api:starting@9|");
	words_release(&w, tell, told);
	assert_string_equal(told, "api:succeeded@7|api:@8|api:starting@9|");
	words_fini(&w);
}

static void only_so_many_wait(void **state)
{
	struct words w;
	(void)state;
	words_init(&w);
	for (int i = 0; i < WORDS_MAX; i++)
		assert_true(keep(&w, "x", i));
	assert_false(keep(&w, "x", 0));
	words_fini(&w);
	assert_true(keep(&w, "x", 0));
	words_fini(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_waits_is_told_in_its_order_and_once),
		cmocka_unit_test(only_so_many_wait),
	};
	return cmocka_run_group_tests_name("words", tests, NULL, NULL);
}
