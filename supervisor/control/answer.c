#include "podvisor/control/answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_TYPE "text/plain; charset=utf-8"
/* Milliseconds of a hundred years fit; more digits would show 0.1 as
 * 0.10000000000000001. */
#define REAL_DIGITS 15

void answer_init(struct answer *a, struct buf *body)
{
	*a = (struct answer){.type = TEXT_TYPE, .body = body};
	buf_clear(body);
}

void answer_text(struct answer *a, int status, const char *fmt, ...)
{
	char line[ERR_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	a->status = status;
	a->type = TEXT_TYPE;
	buf_clear(a->body);
	buf_printf(a->body, "%s\n", line);
}

/* How long text is without a UTF-8 character that was cut in half at its end. */
static size_t whole_length(const char *text)
{
	size_t n = strlen(text), lead = n;
	while (lead > 0 && n - lead < 3 && ((unsigned char)text[lead - 1] & 0xc0) == 0x80)
		lead--;
	return lead > 0 && (unsigned char)text[lead - 1] >= 0xc0 ? lead - 1 : n;
}

/* Texts are cut to fit, perhaps within a character, and workers say what they like. */
json_t *answer_string(const char *text)
{
	json_t *string = json_string(text);
	if (!string)
		string = json_stringn(text, whole_length(text));
	if (string)
		return string;
	char *plain = strdup(text);
	for (char *at = plain; at && *at; at++)
		*at = *at & 0x80 ? '?' : *at;
	string = plain ? json_string(plain) : NULL;
	free(plain);
	return string;
}

static int put(const char *bytes, size_t n, void *body)
{
	return buf_put(body, bytes, n) < 0 ? -1 : 0;
}

void answer_json(struct answer *a, int status, json_t *json)
{
	a->status = status;
	a->type = "application/json";
	buf_clear(a->body);
	if (!json || json_dump_callback(json, put, a->body, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS)) < 0 ||
		buf_putc(a->body, '\n') < 0)
		answer_text(a, 500, "out of memory");
	json_decref(json);
}

void answer_error(struct answer *a, int status, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	answer_json(a, status, json_pack("{s:o}", "error", answer_string(text)));
}
