#include "podvisor/cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/nearest.h"
#include "podvisor/cli/wrap.h"

const struct option_row options_table[OPTION_COUNT] = {
#define OPTIONS_ROW(id, letter, word, value, completes, text) [id] = {letter, word, value, completes, text},
	OPTIONS(OPTIONS_ROW)
#undef OPTIONS_ROW
};

/* getopt's val of an option: above every letter. */
enum { VALUE_BASE = 256 };

/* getopt's two tables, made of ours. */
struct getopt_tables {
	struct option words[OPTION_COUNT + 1];
	char letters[3 + 2 * OPTION_COUNT];
};

static void fill_tables(struct getopt_tables *t, unsigned accepted)
{
	char *letter = t->letters;
	int n = 0;
	if (accepted & OPTIONS_PROGRAM)
		*letter++ = '+'; /* ends at the first word that is no option */
	*letter++ = ':'; /* a missing value is told apart from an unknown option */
	for (int id = 0; id < OPTION_COUNT; id++) {
		if (!(accepted & OPTIONS_BIT(id)))
			continue;
		int has_value = options_table[id].value ? required_argument : no_argument;
		t->words[n++] = (struct option){options_table[id].word, has_value, NULL, VALUE_BASE + id};
		if (options_table[id].letter) {
			*letter++ = options_table[id].letter;
			if (has_value)
				*letter++ = ':';
		}
	}
	*letter = '\0';
	t->words[n] = (struct option){0};
}

static int id_of(int value, unsigned accepted)
{
	if (value >= VALUE_BASE)
		return value - VALUE_BASE;
	for (int id = 0; id < OPTION_COUNT; id++)
		if (value && options_table[id].letter == value && (accepted & OPTIONS_BIT(id)))
			return id;
	return -1;
}

static int tell_unknown(const char *verb, const char *word, unsigned accepted)
{
	if (word[0] != '-' || word[1] != '-') {
		fprintf(stderr, "podvisor %s: there is no option -%c\n", verb, optopt);
		return -1;
	}
	char name[NEAREST_WORD_MAX + 1];
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(word + 2, "="), word + 2);
	struct nearest nearest;
	nearest_init(&nearest, name);
	for (int id = 0; id < OPTION_COUNT; id++)
		if (accepted & OPTIONS_BIT(id))
			nearest_offer(&nearest, options_table[id].word);
	fprintf(stderr, "podvisor %s: there is no option --%s", verb, name);
	if (nearest.best)
		fprintf(stderr, " (did you mean --%s?)", nearest.best);
	fputc('\n', stderr);
	return -1;
}

static int tell_refused(const char *verb, int returned, const char *word, unsigned accepted)
{
	int id = id_of(optopt, accepted);
	if (id < 0)
		return tell_unknown(verb, word, accepted);
	if (returned == ':')
		fprintf(stderr, "podvisor %s: --%s needs a value: --%s %s\n", verb, options_table[id].word,
			options_table[id].word, options_table[id].value);
	else
		fprintf(stderr, "podvisor %s: --%s takes no value\n", verb, options_table[id].word);
	return -1;
}

static int read_lines(struct options *out, const char *text)
{
	char *end;
	errno = 0;
	long lines = strtol(text, &end, 10);
	if (errno || end == text || *end || lines < 0 || lines > OPTIONS_LINES_MAX) {
		fprintf(stderr, "podvisor %s: --lines takes a number from 0 to %d, not \"%s\"\n", out->verb,
			OPTIONS_LINES_MAX, text);
		return -1;
	}
	out->lines = (int)lines;
	return 0;
}

static int read_color(struct options *out, const char *text)
{
	static const char *const words[] = {
		[OPTIONS_COLOR_AUTO] = "auto", [OPTIONS_COLOR_ALWAYS] = "always", [OPTIONS_COLOR_NEVER] = "never"};
	for (int i = 0; i < (int)(sizeof(words) / sizeof(words[0])); i++)
		if (strcmp(words[i], text) == 0) {
			out->color = (enum options_color)i;
			return 0;
		}
	fprintf(stderr, "podvisor %s: --color is auto, always or never, not \"%s\"\n", out->verb, text);
	return -1;
}

static int take(struct options *out, int id, const char *value)
{
	out->given[id] = true;
	if (options_table[id].value && !value[0]) {
		fprintf(stderr, "podvisor %s: --%s needs a value that is not empty\n", out->verb,
			options_table[id].word);
		return -1;
	}
	if (id == OPTION_CONFIG)
		out->config = strcmp(value, "-") == 0 ? "/dev/stdin" : value;
	if (id == OPTION_SOCKET)
		out->socket = value;
	if (id == OPTION_COLOR)
		return read_color(out, value);
	return id == OPTION_LINES ? read_lines(out, value) : 0;
}

int options_read(struct options *out, unsigned accepted, int argc, char **argv)
{
	struct getopt_tables tables = {0};
	int value, before = 1;
	*out = (struct options){.verb = argv[0], .config = OPTIONS_CONFIG_DEFAULT, .lines = 100};
	fill_tables(&tables, accepted);
	opterr = 0;
	optind = 0; /* start anew, whatever was read before (getopt(3), NOTES) */
	while ((value = getopt_long(argc, argv, tables.letters, tables.words, NULL)) != -1) {
		if (value == '?' || value == ':')
			return tell_refused(out->verb, value, argv[optind - 1], accepted);
		if (take(out, id_of(value, accepted), optarg) < 0)
			return -1;
		before = optind;
	}
	/* The -- that ended the options, and not one that is the value of the last. */
	out->dashes = optind > before && strcmp(argv[optind - 1], "--") == 0;
	out->names = argv + optind;
	out->n_names = argc - optind;
	return 0;
}

static const unsigned unsaid = OPTIONS_BIT(OPTION_COLOR) | OPTIONS_BIT(OPTION_SOCKET) | OPTIONS_BIT(OPTION_HELP);

void options_usage(FILE *to, unsigned accepted)
{
	for (int id = 0; id < OPTION_COUNT; id++) {
		if (!(accepted & ~unsaid & OPTIONS_BIT(id)))
			continue;
		if (options_table[id].letter)
			fprintf(to, " [-%c", options_table[id].letter);
		else
			fprintf(to, " [--%s", options_table[id].word);
		fprintf(to, "%s%s]", options_table[id].value ? " " : "",
			options_table[id].value ? options_table[id].value : "");
	}
}

enum { TEXT_COLUMN = 23 };

void options_help(FILE *to, unsigned accepted)
{
	for (int id = 0; id < OPTION_COUNT; id++) {
		if (!(accepted & OPTIONS_BIT(id)))
			continue;
		char left[40], letter[8] = "    ";
		if (options_table[id].letter)
			snprintf(letter, sizeof(letter), "-%c, ", options_table[id].letter);
		snprintf(left, sizeof(left), "%s--%s%s%s", letter, options_table[id].word,
			options_table[id].value ? " " : "", options_table[id].value ? options_table[id].value : "");
		int taken = fprintf(to, "  %-20s", left);
		wrap_put(to, options_table[id].text, taken, TEXT_COLUMN - 1);
	}
}
