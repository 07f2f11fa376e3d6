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
		{"logs", "-n"}, {"logs", "--socket"}, {"logs", "-n", "1x"}, {"logs", "-n", ""}, {"logs", "--socket="},
		{"logs", "-n", "99999999999999999999"}, {"logs", "--follow=1"}};
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		assert_int_equal(read_words(&o, BITS, argv, refused[i]), -1);
		free_words(argv);
	}
}

/* As `podvisor run` reads them. */
static void check_program(const char *const *words, int rc, bool dashes, int n_names, const char *config)
{
	struct options o;
	char *argv[WORDS_MAX + 1];
	assert_int_equal(read_words(&o, OPTIONS_BIT(OPTION_CONFIG) | OPTIONS_PROGRAM, argv, words), rc);
	if (rc == 0) {
		assert_int_equal(o.dashes, dashes);
		assert_int_equal(o.n_names, n_names);
		assert_string_equal(o.config, config);
	}
	free_words(argv);
}

static void a_program_stands_behind_two_dashes_with_all_that_is_its(void **state)
{
	(void)state;
	const char *const none[] = {"run", NULL}, *const file[] = {"run", "-c", "f", NULL},
			  *const program[] = {"run", "--", "x", "-c", "--", NULL},
			  *const both[] = {"run", "--config=f", "--", "x", NULL},
			  *const forgotten[] = {"run", "x", "--", "y", NULL}, *const empty[] = {"run", "--", NULL},
			  *const value[] = {"run", "-c", "--", "x", NULL}, *const unknown[] = {"run", "-x", NULL};
	check_program(none, 0, false, 0, OPTIONS_CONFIG_DEFAULT);
	check_program(file, 0, false, 0, "f");
	check_program(program, 0, true, 3, OPTIONS_CONFIG_DEFAULT);
	check_program(both, 0, true, 1, "f");
	check_program(forgotten, 0, false, 3, OPTIONS_CONFIG_DEFAULT);
	check_program(empty, 0, true, 0, OPTIONS_CONFIG_DEFAULT);
	check_program(value, 0, false, 1, "--");
	check_program(unknown, -1, false, 0, NULL);
}

static void a_wish_for_colours_is_one_of_three(void **state)
{
	(void)state;
	struct options o;
	char *argv[WORDS_MAX + 1];
	const char *const words[][3] = {{"status", NULL}, {"status", "--color=always", NULL},
		{"status", "--color=never", NULL}, {"status", "--color=auto", NULL}, {"status", "--color=red", NULL}};
	const int rc[] = {0, 0, 0, 0, -1};
	const enum options_color want[] = {
		OPTIONS_COLOR_AUTO, OPTIONS_COLOR_ALWAYS, OPTIONS_COLOR_NEVER, OPTIONS_COLOR_AUTO};
	for (int i = 0; i < 5; i++) {
		assert_int_equal(read_words(&o, OPTIONS_BIT(OPTION_COLOR), argv, words[i]), rc[i]);
		if (rc[i] == 0)
			assert_int_equal(o.color, want[i]);
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
	int options = 0;
	for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
		options += strncmp(line, "  -", 3) == 0 || strncmp(line, "      --", 8) == 0;
	assert_int_equal(options, OPTION_COUNT);
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
		cmocka_unit_test(a_program_stands_behind_two_dashes_with_all_that_is_its),
		cmocka_unit_test(a_wish_for_colours_is_one_of_three),
		cmocka_unit_test(the_usage_names_what_is_special_to_the_command),
		cmocka_unit_test(every_option_is_explained_on_a_line_of_its_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
