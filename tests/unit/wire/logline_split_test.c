#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/wire/logline_split.h"

enum { MAX_LINE = 16 };

static struct logline_split split;
static struct buf seen; /* each message, and a '|' behind it, or a '~' when its line goes on in the next */
static int64_t seen_wall;

static void on_message(void *ctx, struct span text, int64_t wall_ms, bool partial)
{
	assert_ptr_equal(ctx, &split);
	buf_put(&seen, text.at, text.len);
	buf_putc(&seen, partial ? '~' : '|');
	seen_wall = wall_ms;
}

static void begin(const char *multiline)
{
	struct err err = {0};
	split = (struct logline_split){.max_line = MAX_LINE, .as_json = true, .message = on_message, .ctx = &split};
	if (multiline && logline_join_new(&split.continues, multiline, &err) < 0)
		fail_msg("%s", err.text);
	logline_split_init(&split);
	buf_init(&seen, 1 << 20);
}

static void finish(void)
{
	logline_split_end(&split);
	logline_split_fini(&split);
}

static void expect(const char *messages)
{
	assert_string_equal(buf_str(&seen), messages);
	buf_clear(&seen);
}

static void feed_at(ms_t now, const char *bytes)
{
	logline_split_feed(&split, bytes, strlen(bytes), now, 1000000 + now);
}

static void feed(const char *bytes)
{
	feed_at(0, bytes);
}

/* The same bytes in portions of every size, a fresh split each time. */
static void expect_in_portions(const char *multiline, const char *bytes, const char *messages)
{
	for (size_t portion = 1; portion <= strlen(bytes); portion++) {
		begin(multiline);
		for (size_t at = 0; at < strlen(bytes); at += portion) {
			size_t n = strlen(bytes + at) < portion ? strlen(bytes + at) : portion;
			logline_split_feed(&split, bytes + at, n, 0, 0);
		}
		finish();
		assert_string_equal(buf_str(&seen), messages);
		buf_fini(&seen);
	}
}

static void done(void)
{
	finish();
	buf_fini(&seen);
}

/* ---- lines ---- */

static void a_newline_ends_a_message(void **state)
{
	(void)state;
	expect_in_portions(NULL, "a\nbc\n\n \nd", "a|bc|| |d|");
}

static void a_line_waits_for_its_end(void **state)
{
	(void)state;
	begin(NULL);
	feed("ab");
	expect("");
	feed("c\nd");
	expect("abc|");
	logline_split_settle(&split);
	expect("");
	logline_split_end(&split);
	expect("d|");
	logline_split_end(&split);
	expect("");
	done();
}

static void a_carriage_return_before_the_newline_is_no_part_of_it(void **state)
{
	(void)state;
	expect_in_portions(NULL, "a\r\nb\r\r\nc\rd\n\r\n\re\r", "a|b\r|c\rd||\re|");
}

static void unless_lines_are_left_as_they_are(void **state)
{
	(void)state;
	begin(NULL);
	split.raw = true;
	feed("a\r\nb");
	feed("\r\n");
	expect("a\r|b\r|");
	done();
}

static void nul_and_bytes_that_are_no_text_are_kept(void **state)
{
	(void)state;
	begin(NULL);
	logline_split_feed(&split, "a\0b\nc\0", 6, 0, 0);
	logline_split_feed(&split, "\xff\n", 2, 0, 0);
	assert_memory_equal(seen.data, "a\0b|c\0\xff|", 8);
	done();
}

/* ---- long lines ---- */

static void a_line_of_exactly_max_line_is_one_message(void **state)
{
	(void)state;
	expect_in_portions(NULL, "0123456789abcdef\nx\n", "0123456789abcdef|x|");
	expect_in_portions(NULL, "0123456789abcdef\r\nx\r\n", "0123456789abcdef|x|");
	expect_in_portions(NULL, "0123456789abcdef", "0123456789abcdef|");
	expect_in_portions(NULL, "0123456789abcdef\r", "0123456789abcdef|");
}

static void a_longer_one_leaves_in_pieces(void **state)
{
	(void)state;
	expect_in_portions(NULL, "0123456789abcdefg\nx\n", "0123456789abcdef~g|x|");
	expect_in_portions(NULL, "0123456789abcdefg\r\nx\n", "0123456789abcdef~g|x|");
	expect_in_portions(NULL, "0123456789abcdef0123456789abcdef\n\nx\n", "0123456789abcdef~0123456789abcdef||x|");
	expect_in_portions(NULL, "0123456789abcdef0123456789abcdef\r\nx\n", "0123456789abcdef~0123456789abcdef|x|");
	expect_in_portions(NULL, "0123456789abcdef\rx\n", "0123456789abcdef~\rx|");
	expect_in_portions(NULL, "0123456789abcdef0123456789abcdef!", "0123456789abcdef~0123456789abcdef~!|");
}

static void no_character_is_cut_in_two(void **state)
{
	(void)state;
	expect_in_portions(NULL, "0123456789abcde\xc3\xbcz\n", "0123456789abcde~\xc3\xbcz|");
	expect_in_portions(NULL, "0123456789abc\xf0\x9f\x98\x80zz\n", "0123456789abc~\xf0\x9f\x98\x80zz|");
	expect_in_portions(NULL, "0123456789abcd\xc3\xbcz\n", "0123456789abcd\xc3\xbc~z|");
}

static void a_line_without_an_end_takes_no_more_memory(void **state)
{
	(void)state;
	begin(NULL);
	for (int i = 0; i < 10000; i++)
		feed("0123456789");
	assert_true(split.carry.cap <= MAX_LINE + 2);
	logline_split_end(&split);
	assert_int_equal(seen.len, 100000 + 100000 / MAX_LINE);
	done();
}

/* ---- several lines ---- */

static void what_continues_a_line_is_joined_to_it(void **state)
{
	(void)state;
	expect_in_portions("^ ", "a\n b\n  c\nd\ne\n f\n", "a\n b\n  c|d|e\n f|");
	expect_in_portions("^ ", " a\n b\nc", " a\n b|c|");
	expect_in_portions("^ ", "a\r\n b\r\nc\r\n", "a\n b|c|");
	expect_in_portions("^$", "a\n\n\nb\n", "a\n\n|b|");
}

static void an_empty_line_can_be_continued(void **state)
{
	(void)state;
	expect_in_portions("^ ", "\n a\n\n\nb\n", "\n a|||b|");
}

static void a_message_is_no_longer_than_a_line_may_be(void **state)
{
	(void)state;
	expect_in_portions("^ ", "01234567\n 123456\n 89\n x\n", "01234567\n 123456| 89\n x|");
}

static void pieces_of_a_long_line_join_nothing(void **state)
{
	(void)state;
	expect_in_portions("^ ", "a\n 0123456789abcdefgh\n b\nc\n", "a| 0123456789abcde~fgh| b|c|");
	expect_in_portions("^ ", "0123456789abcdef0123456789abcdef\n b\n", "0123456789abcdef~0123456789abcdef| b|");
}

static void a_json_object_stands_alone(void **state)
{
	(void)state;
	expect_in_portions("^ ", "a\n b\n{\"a\":1}\n c\nd\n", "a\n b|{\"a\":1}| c|d|");
	begin("^ ");
	split.as_json = false;
	feed("{}\n c\nd\n");
	expect("{}\n c|");
	done();
	/* It waits for nobody either. */
	begin("^ ");
	feed("{}\n");
	expect("{}|");
	assert_true(logline_split_due(&split) == CLOCK_NEVER);
	done();
}

static void a_message_waits_a_moment_for_what_continues_it(void **state)
{
	(void)state;
	begin("^ ");
	assert_true(logline_split_due(&split) == CLOCK_NEVER);
	feed_at(100, "a\n");
	assert_int_equal(logline_split_due(&split), 100 + LOGLINE_SPLIT_QUIET_MS);
	feed_at(300, " b\n");
	assert_int_equal(logline_split_due(&split), 300 + LOGLINE_SPLIT_QUIET_MS);
	feed_at(400, " half");
	assert_int_equal(logline_split_due(&split), 300 + LOGLINE_SPLIT_QUIET_MS);
	logline_split_settle(&split);
	expect("a\n b|");
	assert_int_equal(seen_wall, 1000000 + 100);
	assert_true(logline_split_due(&split) == CLOCK_NEVER);
	feed_at(900, " a line\n");
	expect("");
	feed_at(901, "c\n");
	expect(" half a line|");
	assert_int_equal(seen_wall, 1000000 + 900);
	done();
}

static void but_not_for_ever(void **state)
{
	(void)state;
	begin("^$");
	feed_at(0, "a\n");
	for (ms_t now = 200; now < LOGLINE_SPLIT_LONGEST_MS; now += 200)
		feed_at(now, "\n");
	expect("");
	assert_int_equal(logline_split_due(&split), LOGLINE_SPLIT_LONGEST_MS);
	done();
}

static void the_end_of_the_stream_ends_all(void **state)
{
	(void)state;
	begin("^ ");
	feed("a\n b\n c");
	logline_split_end(&split);
	expect("a\n b\n c|");
	done();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_newline_ends_a_message),
		cmocka_unit_test(a_line_waits_for_its_end),
		cmocka_unit_test(a_carriage_return_before_the_newline_is_no_part_of_it),
		cmocka_unit_test(unless_lines_are_left_as_they_are),
		cmocka_unit_test(nul_and_bytes_that_are_no_text_are_kept),
		cmocka_unit_test(a_line_of_exactly_max_line_is_one_message),
		cmocka_unit_test(a_longer_one_leaves_in_pieces),
		cmocka_unit_test(no_character_is_cut_in_two),
		cmocka_unit_test(a_line_without_an_end_takes_no_more_memory),
		cmocka_unit_test(what_continues_a_line_is_joined_to_it),
		cmocka_unit_test(an_empty_line_can_be_continued),
		cmocka_unit_test(a_message_is_no_longer_than_a_line_may_be),
		cmocka_unit_test(pieces_of_a_long_line_join_nothing),
		cmocka_unit_test(a_json_object_stands_alone),
		cmocka_unit_test(a_message_waits_a_moment_for_what_continues_it),
		cmocka_unit_test(but_not_for_ever),
		cmocka_unit_test(the_end_of_the_stream_ends_all),
	};
	return cmocka_run_group_tests_name("logline_split", tests, NULL, NULL);
}
