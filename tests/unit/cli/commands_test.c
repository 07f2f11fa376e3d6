#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/cli/commands.h"
#include "podvisor/cli/completion.h"

static void every_command_is_whole(void **state)
{
	(void)state;
	for (int i = 0; i < COMMAND_COUNT; i++) {
		const struct command *c = &commands[i];
		assert_non_null(c->name);
		assert_ptr_equal(commands_find(c->name), c);
		assert_true(strlen(c->summary) > 0 && strlen(c->text) > 0);
		assert_true(c->options & OPTIONS_BIT(OPTION_HELP));
		assert_true(c->arguments[0] == '\0' || c->arguments[0] == ' ');
		assert_true(c->names_min <= c->names_max);
		/* What may be named can be completed, and the other way round. */
		assert_int_equal(c->names_max > 0, c->completes != NULL);
		/* An option that prints JSON says which. */
		assert_int_equal(!!(c->options & OPTIONS_BIT(OPTION_JSON)), c->json != NULL);
	}
	assert_null(commands_find("nothing"));
	assert_null(commands_find(""));
}

static void every_command_that_prints_an_answer_has_json(void **state)
{
	(void)state;
	for (int i = 0; i < COMMAND_COUNT; i++)
		if (i != COMMAND_RUN && i != COMMAND_COMPLETION)
			assert_true(commands[i].options & OPTIONS_BIT(OPTION_JSON));
}

static char *help_of(const struct command *c)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	commands_help(to, c);
	fclose(to);
	return text;
}

static void help_tells_each_option_and_fits_a_terminal(void **state)
{
	(void)state;
	for (int i = 0; i < COMMAND_COUNT; i++) {
		char *text = help_of(&commands[i]);
		for (int id = 0; id < OPTION_COUNT; id++) {
			char word[32];
			snprintf(word, sizeof(word), "  --%s", options_table[id].word);
			bool told = strstr(text, word + (options_table[id].letter ? 2 : 0)) != NULL;
			if (commands[i].options & OPTIONS_BIT(id))
				assert_true(told);
		}
		for (const char *line = text; *line; line += strcspn(line, "\n") + 1)
			assert_true(strcspn(line, "\n") <= 80);
		free(text);
	}
}

static void the_table_as_json_has_everything(void **state)
{
	(void)state;
	json_t *json = commands_json();
	assert_int_equal(json_array_size(json_object_get(json, "commands")), COMMAND_COUNT);
	assert_int_equal(json_array_size(json_object_get(json, "options")), OPTION_COUNT);
	assert_int_equal(json_array_size(json_object_get(json, "exit_codes")), 6);
	const json_t *run = json_array_get(json_object_get(json, "commands"), COMMAND_RUN);
	assert_string_equal(json_string_value(json_object_get(run, "arguments")), "[-- COMMAND ARGS...]");
	assert_string_equal(json_string_value(json_array_get(json_object_get(run, "options"), 0)), "config");
	json_decref(json);
}

static void the_completion_knows_each_command_and_option(void **state)
{
	(void)state;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	assert_non_null(to);
	completion_bash(to);
	fclose(to);
	for (int i = 0; i < COMMAND_COUNT; i++) {
		char arm[32];
		snprintf(arm, sizeof(arm), "\n\t%s)\n", commands[i].name);
		assert_non_null(strstr(text, arm));
	}
	for (int id = 0; id < OPTION_COUNT; id++)
		assert_non_null(strstr(text, options_table[id].word));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_command_is_whole),
		cmocka_unit_test(every_command_that_prints_an_answer_has_json),
		cmocka_unit_test(help_tells_each_option_and_fits_a_terminal),
		cmocka_unit_test(the_table_as_json_has_everything),
		cmocka_unit_test(the_completion_knows_each_command_and_option),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
