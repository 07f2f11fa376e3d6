/* Any bytes are parsed without a fault; what is accepted prints to text that is
 * accepted again, and prints the same; no mistake and no output has the secret. */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/model/config.h"

#define SECRET "Zq9secretZq9"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *variable(void *ctx, const char *name)
{
	(void)ctx;
	return strcmp(name, "X_TOKEN") == 0 ? SECRET : strcmp(name, "X") == 0 ? "7" : NULL;
}

static char *file(void *ctx, const char *path, struct err *err)
{
	(void)ctx;
	if (strlen(path) > 3)
		return strdup(SECRET "\n");
	err_set(err, -2, "%s: no such file", path);
	return NULL;
}

static const struct config_source source = {.variable = variable, .file = file};
static struct config_report report;

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void check_mistakes(void)
{
	check(report.count > 0);
	for (size_t i = 0; i < report.count; i++) {
		const struct config_mistake *m = &report.items[i];
		check(m->line >= 1 && m->column >= 1 && m->text[0]);
		check(!strstr(m->text, SECRET) && !strstr(m->path, SECRET));
		check(i == 0 || m[-1].line < m->line || (m[-1].line == m->line && m[-1].column <= m->column));
	}
}

static void check_printed(const struct config *c)
{
	char *text = config_print(c);
	check(text && !strstr(text, SECRET));
	struct config *again = config_parse(text, strlen(text), &source, &report);
	if (!again) { /* a masked value need not fit where it stands, but only those */
		check(strstr(text, "***") != NULL);
	} else {
		char *text_again = config_print(again);
		check(text_again && strcmp(text, text_again) == 0);
		check(strstr(text, "***") || config_equal(c, again));
		free(text_again);
	}
	config_release(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The plain secret in the input is the user's own text, which may be quoted. */
	if (memmem(data, size, "secretZq9", 9))
		return 0;
	struct config *c = config_parse((const char *)data, size, &source, &report);
	if (c)
		check_printed(c);
	else
		check_mistakes();
	config_release(c);
	return 0;
}
