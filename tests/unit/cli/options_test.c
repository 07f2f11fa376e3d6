#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/cli/options.h"

#define WORDS_MAX 8

/* Reads up to WORDS_MAX words; *out borrows from argv, which must live on. */
static int read_words(struct options *out, unsigned accepted, char *argv[WORDS_MAX + 1], const char *const *words)
{
	int argc = 0;
	while (argc < WORDS_MAX && words[argc]) {
		argv[argc] = strdup(words[argc]);
		assert_non_null(argv[argc]);
		argc++;
	}
	argv[argc] = NULL;
	return options_read(out, accepted, argc, argv);
}

static void free_words(char *argv[WORDS_MAX + 1])
{
	for (int i = 0; i < WORDS_MAX && argv[i]; i++)
		free(argv[i]);
}

#define BITS (OPTIONS_BIT(OPTION_FOLLOW) | OPTIONS_BIT(OPTION_LINES) | OPTIONS_BIT(OPTION_SOCKET))

static void defaults_stand_where_nothing_is_given(void **state)
{
	(void)state;
	struct options o;
	char *argv[WORDS_MAX + 1];
	const char *const words[] = {"logs", NULL};
	assert_int_equal(read_words(&o, BITS, argv, words), 0);
	assert_string_equal(o.verb, "logs");
	assert_string_equal(o.config, "/etc/podvisor/podvisor.json");
	assert_null(o.socket);
	assert_int_equal(o.lines, 100);
	assert_int_equal(o.n_names, 0);
	for (int id = 0; id < OPTION_COUNT; id++)
		assert_false(o.given[id]);
	free_words(argv);
}

static void names_and_options_may_be_mixed(void **state)
{
	(void)state;
	struct options o;
	char *argv[WORDS_MAX + 1];
	const char *const words[] = {"logs", "api", "-fn", "7", "indexer", "--socket=/s", NULL};
	assert_int_equal(read_words(&o, BITS, argv, words), 0);
	assert_true(o.given[OPTION_FOLLOW]);
	assert_int_equal(o.lines, 7);
	assert_string_equal(o.socket, "/s");
	assert_int_equal(o.n_names, 2);
	assert_string_equal(o.names[0], "api");
	assert_string_equal(o.names[1], "indexer");
	free_words(argv);
}

static void behind_two_dashes_everything_is_a_name(void **state)
{
	(void)state;
	struct options o;
	char *argv[WORDS_MAX + 1];
	const char *const words[] = {"logs", "--", "-f", NULL};
	assert_int_equal(read_words(&o, BITS, argv, words), 0);
	assert_false(o.given[OPTION_FOLLOW]);
	assert_string_equal(o.names[0], "-f");
	free_words(argv);
}

static void what_is_not_accepted_is_refused(void **state)
{
	(void)state;
	struct options o;
	char *argv[WORDS_MAX + 1];
	const char *const refused[][4] = {{"logs", "--json"}, {"logs", "-x"}, {"logs", "--folow"}, {"logs", "-c", "x"},
		{"logs", "-n"}, {"logs", "--socket"}, {"logs", "-n", "1x"}, {"logs", "-n", ""},
		{"logs", "-n", "99999999999999999999"}, {"logs", "--follow=1"}};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(read_words(&o, BITS, argv, refused[i]), -1);
		free_words(argv);
	}
}

static char *written(void (*write)(FILE *to, unsigned accepted), unsigned accepted)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	write(to, accepted);
	fclose(to);
	return text;
}

static void the_usage_names_what_is_special_to_the_command(void **state)
{
	(void)state;
	char *text = written(options_usage, BITS | OPTIONS_BIT(OPTION_HELP));
	assert_string_equal(text, " [-f] [-n LINES]");
	free(text);
}

static void every_option_is_explained_on_a_line_of_its_own(void **state)
{
	(void)state;
	char *text = written(options_help, OPTIONS_BIT(OPTION_COUNT) - 1);
	int lines = 0;
	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	assert_int_equal(lines, OPTION_COUNT);
	assert_non_null(strstr(text, "  -c, --config FILE "));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_stand_where_nothing_is_given),
		cmocka_unit_test(names_and_options_may_be_mixed),
		cmocka_unit_test(behind_two_dashes_everything_is_a_name),
		cmocka_unit_test(what_is_not_accepted_is_refused),
		cmocka_unit_test(the_usage_names_what_is_special_to_the_command),
		cmocka_unit_test(every_option_is_explained_on_a_line_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
