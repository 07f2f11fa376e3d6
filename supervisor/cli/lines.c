#include "podvisor/cli/lines.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/utf8.h"

/* With its newline; nothing when rest is empty. */
static struct span first_line(struct span rest)
{
	const char *newline = rest.len ? memchr(rest.at, '\n', rest.len) : NULL;
	return (struct span){rest.at, newline ? (size_t)(newline - rest.at) + 1 : rest.len};
}

static void skip(struct span *rest, size_t n)
{
	rest->at += n;
	rest->len -= n;
}

size_t lines_seen(struct span earlier, struct span later)
{
	while (earlier.len) {
		if (earlier.len <= later.len && memcmp(earlier.at, later.at, earlier.len) == 0)
			return earlier.len;
		skip(&earlier, first_line(earlier).len);
	}
	return 0;
}

struct span lines_last(struct span window, size_t n)
{
	size_t start = window.len;
	for (size_t seen = 0; start > 0; start--)
		if (window.at[start - 1] == '\n' && seen++ == n)
			break;
	skip(&window, start);
	return window;
}

enum { STAMP_LEN = 19, STAMP_LEN_MAX = 23, STAMP_BEFORE = 64 };

/* "2026-11-24T03:10:45" */
static bool is_stamp(const char *at)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";
	for (int i = 0; i < STAMP_LEN; i++)
		if (form[i] == 'd' ? at[i] < '0' || at[i] > '9' : at[i] != form[i])
			return false;
	return true;
}

/* The time stamp, to the millisecond if it is as fine, at the front of a line. */
static struct span stamp_of(struct span line)
{
	for (size_t i = 0; i < STAMP_BEFORE && i + STAMP_LEN <= line.len; i++) {
		if (!is_stamp(line.at + i))
			continue;
		size_t len = line.len - i < STAMP_LEN_MAX ? STAMP_LEN : STAMP_LEN_MAX;
		return (struct span){line.at + i, len};
	}
	return (struct span){0};
}

static bool is_earlier(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	return len ? memcmp(a.at, b.at, len) < 0 : a.len < b.len;
}

/* What is left of one window, and the stamp of its next line. */
struct cursor {
	struct span rest, stamp;
};

static void look(struct cursor *c)
{
	struct span stamp = stamp_of(first_line(c->rest));
	if (stamp.len)
		c->stamp = stamp;
}

static struct cursor *next(struct cursor *cursors, size_t n)
{
	struct cursor *best = NULL;
	for (size_t i = 0; i < n; i++)
		if (cursors[i].rest.len && (!best || is_earlier(cursors[i].stamp, best->stamp)))
			best = &cursors[i];
	return best;
}

int lines_merge(struct buf *out, const struct span *windows, size_t n)
{
	struct cursor *cursors = calloc(n + 1, sizeof(*cursors));
	int rc = 0;
	if (!cursors)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		cursors[i].rest = windows[i];
		look(&cursors[i]);
	}
	for (struct cursor *c; rc == 0 && (c = next(cursors, n));) {
		struct span line = first_line(c->rest);
		rc = buf_put(out, line.at, line.len);
		skip(&c->rest, line.len);
		look(c);
	}
	free(cursors);
	return rc;
}

static bool is_object(struct span line)
{
	json_t *json = json_loadb(line.at, line.len, 0, NULL);
	bool is = json_is_object(json);
	json_decref(json);
	return is;
}

/* Bytes that are no UTF-8, which JSON cannot carry, become '?'. */
static void print_as_msg(struct span line, FILE *to)
{
	char *text = malloc(line.len + 1);
	if (!text)
		return;
	size_t n;
	for (size_t i = 0; i < line.len; i += n) {
		n = utf8_length(line.at + i, line.len - i);
		memcpy(text + i, n ? line.at + i : "?", n ? n : 1);
		n = n ? n : 1;
	}
	json_t *json = json_pack("{s:o}", "msg", json_stringn(text, line.len));
	json_dumpf(json, to, JSON_COMPACT);
	json_decref(json);
	free(text);
}

void lines_print(struct span window, bool as_json, FILE *to)
{
	if (!as_json) {
		fwrite(window.at, 1, window.len, to);
		return;
	}
	while (window.len) {
		struct span line = first_line(window);
		skip(&window, line.len);
		line.len -= line.at[line.len - 1] == '\n';
		if (is_object(line))
			fwrite(line.at, 1, line.len, to);
		else
			print_as_msg(line, to);
		fputc('\n', to);
	}
}
