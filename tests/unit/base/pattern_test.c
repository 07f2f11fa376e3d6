#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/pattern.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct pattern *made(const char *text)
{
	struct pattern *p = NULL;
	struct err err = {0};
	if (pattern_new(&p, text, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	return p;
}

static bool matches(const char *pattern, struct span text)
{
	struct pattern *p = made(pattern);
	bool does = pattern_matches(p, text);
	pattern_free(p);
	return does;
}

static void what_should_match_does_and_nothing_else(void **state)
{
	static const struct {
		const char *pattern, *yes, *no;
	} cases[] = {{"a", "xay", "b"}, {"^a", "ab", "ba"}, {"a$", "ba", "ab"}, {"^$", "", "a"},
		{"^[ \t]", "\tat x", "at"}, {"a.c", "abc", "ac"}, {"ab*c", "ac", "adc"}, {"ab+c", "abbc", "ac"},
		{"ab?c", "abc", "abbc"}, {"^a{2,3}$", "aaa", "aaaa"}, {"^a{2}$", "aa", "a"}, {"^a{2,}$", "aaaaa", "a"},
		{"^a{0}b$", "b", "ab"}, {"^(ab|cd)+$", "abcdab", "abc"}, {"^(a|b|cd)$", "cd", "ac"},
		{"a|^b", "xa", "xb"}, {"^(at |\\.\\.\\. [0-9]+ more)", "... 12 more", "... x more"},
		{"[[:digit:]]{3}", "a123", "12"}, {"^[^a-c]$", "d", "b"}, {"^[]x]$", "]", "y"},
		{"^(?:a|b)c$", "bc", "c"}, {"(?i)^error", "ERROR x", "an error"}, {"^[a-]$", "-", "b"},
		{"^[\\]]$", "]", "\\"}, {"^\\d+\\s\\w$", "12\t_", "12 -"}, {"^\\D\\S\\W$", "a!-", "1!-"},
		{"^[\\w.]+$", "a.b_1", "a-b"}, {"^[\\\\d]$", "\\", "7"}, {"\\t", "\t", "t"}, {"^[\\t]$", "\t", "t"},
		{"\\{\\}", "{}", "{"}, {"\xc3\xbc+$", "x\xc3\xbc\xc3\xbc", "\xc3\xbc\xbc"}, {"(a*)*b", "aab", "aac"},
		{"(a*)+$", "", "\1"}, {"^((a|b)*c){2}$", "abcc", "abc"}, {"^(^a)", "a", "b"},
		{"[[:space:][:punct:]]", "a;", "ab"}, {"^[[:alpha:]_]+:", "Key_x:", "1:"}, {"x{0,2}$", "", "\1"},
		{"$", "abc", "\1"}, {"^(b|$)|$", "abc", "\1"}};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		if (!matches(cases[i].pattern, (struct span){cases[i].yes, strlen(cases[i].yes)}))
			fail_msg("%s does not match \"%s\"", cases[i].pattern, cases[i].yes);
		if (cases[i].no[0] == '\1')
			continue; /* it matches everything */
		if (matches(cases[i].pattern, (struct span){cases[i].no, strlen(cases[i].no)}))
			fail_msg("%s matches \"%s\"", cases[i].pattern, cases[i].no);
	}
}

static void bytes_are_bytes(void **state)
{
	(void)state;
	assert_true(matches("a.b$", (struct span){"x\0a\0b", 5}));
	assert_true(matches("b$", (struct span){"\xff"
						"ab",
					  3}));
	assert_true(matches("^\xc3\xbc.$", (struct span){"\xc3\xbc\xe2\x82\xac", 5}));
	assert_false(matches("^a$", (struct span){"a\0", 2}));
	assert_false(matches("^a$", (struct span){"a\n", 2}));
	assert_true(matches("^$", (struct span){NULL, 0}));
}

static void a_mistake_is_named_with_its_place(void **state)
{
	static const struct {
		const char *pattern, *sentence;
	} cases[] = {{"a(b", "missing closing parenthesis (character 4)"},
		{"ab)", "unmatched closing parenthesis (character 3)"},
		{"x[a-", "missing terminating ] for character class (character 5)"},
		{"[[:letter:]]", "unknown POSIX class name (character 4)"}, {"", "it is empty"},
		{"a\\C", "using \\C is disabled by the application (character 4)"},
		{"*a", "quantifier does not follow a repeatable item (character 1)"},
		{"\xff", "UTF-8 error: illegal byte (0xfe or 0xff) (character 1)"},
		{"(((a|b){60}){60}){60}", "regular expression is too large (character 22)"}};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct pattern *p = NULL;
		struct err err = {0};
		if (pattern_new(&p, cases[i].pattern, &err) == 0)
			fail_msg("%s is taken", cases[i].pattern);
		assert_string_equal(err.text, cases[i].sentence);
		assert_null(p);
	}
}

static char *repeated(const char *piece, size_t n, const char *end)
{
	char *text = calloc(1, n * strlen(piece) + strlen(end) + 1), *at = text;
	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		at = stpcpy(at, piece);
	stpcpy(at, end);
	return text;
}

static void a_pattern_of_any_size_is_taken_or_refused(void **state)
{
	static const struct {
		const char *piece, *end;
	} cases[] = {{"(", ""}, {"[a]", ""}, {"([a]){0}", ""}, {"a|", "a"}, {"((a|b)*c{2})", ""}, {"x{255}", ""},
		{"a?", ""}, {"\\", ""}, {"^$", ""}};
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++)
		for (size_t n = 1; n < 2000; n += n < 10 ? 1 : 97) {
			char *text = repeated(cases[i].piece, n, cases[i].end);
			struct pattern *p = NULL;
			struct err err = {0};
			int rc = pattern_new(&p, text, &err);
			assert_true(rc == 0 || rc == -EINVAL || rc == -E2BIG);
			if (rc == 0)
				pattern_matches(p, SPAN("aabbcc"));
			pattern_free(p);
			free(text);
		}
}

/* The pattern that makes glibc's matcher grow without end, and one that makes backtrackers take exponential time. */
static void hard_patterns_take_no_longer_than_their_text(void **state)
{
	(void)state;
	struct pattern *p = made("x(a|b)*a(a|b){100}$"), *q = made("^(a*)*(a|aa)*b$");
	char *text = repeated("ab", 50000, "c");
	for (int i = 0; i < 3; i++)
		assert_false(pattern_matches(p, span_of(text)));
	char *many = repeated("a", 100000, "");
	assert_false(pattern_matches(q, span_of(many)));
	free(text);
	free(many);
	pattern_free(p);
	pattern_free(q);
}

/* ---- beside the C library ---- */

static uint32_t dice(uint32_t *seed, uint32_t sides)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 16) % sides;
}

/* Anchors stand at the ends alone: within repetitions glibc takes ^ for true where it is not. */
static void random_pattern(uint32_t *seed, char *out, int depth)
{
	static const char *const atoms[] = {"a", "b", "c", ".", "[ab]", "[^b]"};
	static const char *const repetitions[] = {"", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,1}", "{2,}"};
	if (depth == 0 && dice(seed, 3) == 0)
		strcat(out, "^");
	for (uint32_t n = 1 + dice(seed, 3); n; n--) {
		if (dice(seed, 10) < 3 && depth < 3) {
			strcat(out, "(");
			random_pattern(seed, out + strlen(out), depth + 1);
			strcat(out, ")");
		} else {
			strcat(out, atoms[dice(seed, COUNT(atoms))]);
		}
		strcat(out, repetitions[dice(seed, COUNT(repetitions))]);
	}
	if (depth == 0 && dice(seed, 3) == 0)
		strcat(out, "$");
	if (dice(seed, 3) == 0) {
		strcat(out, "|");
		random_pattern(seed, out + strlen(out), depth);
	}
}

static void it_agrees_with_the_c_library(void **state)
{
	uint32_t seed = 7, compared = 0, given_up = 0;
	(void)state;
	for (int i = 0; i < 5000; i++) {
		char pattern[8192] = "";
		regex_t theirs;
		random_pattern(&seed, pattern, 0);
		if (strlen(pattern) > 200)
			continue;
		struct pattern *ours = NULL;
		struct err err;
		int rc = pattern_new(&ours, pattern, &err);
		if (rc == -E2BIG)
			continue;
		assert_int_equal(rc, 0);
		assert_int_equal(regcomp(&theirs, pattern, REG_EXTENDED | REG_NOSUB), 0);
		for (int k = 0; k < 20; k++) {
			char text[16] = "";
			for (uint32_t n = dice(&seed, 9); n; n--)
				text[n - 1] = (char)('a' + dice(&seed, 3));
			bool they = regexec(&theirs, text, 0, NULL, 0) == 0;
			bool we = pattern_matches(ours, span_of(text));
			if (we && !they)
				fail_msg("%s does not match \"%s\" in the C library", pattern, text);
			compared++;
			given_up += they && !we;
		}
		regfree(&theirs);
		pattern_free(ours);
	}
	/* Repetitions of repetitions of nothing are what the limit is for. */
	print_message("%u compared, %u given up\n", compared, given_up);
	assert_true(compared > 90000);
	assert_true(given_up * 2000 < compared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_should_match_does_and_nothing_else),
		cmocka_unit_test(bytes_are_bytes),
		cmocka_unit_test(a_mistake_is_named_with_its_place),
		cmocka_unit_test(a_pattern_of_any_size_is_taken_or_refused),
		cmocka_unit_test(hard_patterns_take_no_longer_than_their_text),
		cmocka_unit_test(it_agrees_with_the_c_library),
	};
	return cmocka_run_group_tests_name("pattern", tests, NULL, NULL);
}
