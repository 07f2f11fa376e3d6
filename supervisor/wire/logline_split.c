#include "podvisor/wire/logline_split.h"

#include <string.h>

#include "podvisor/base/utf8.h"
#include "podvisor/wire/logline.h"

void logline_split_init(struct logline_split *s)
{
	buf_init(&s->carry, s->max_line + 1);
	buf_init(&s->held, s->max_line);
	s->in_pieces = s->holding = false;
}

void logline_split_fini(struct logline_split *s)
{
	buf_fini(&s->carry);
	buf_fini(&s->held);
	pattern_free(s->continues);
}

/* ---- messages of several lines ---- */

ms_t logline_split_due(const struct logline_split *s)
{
	if (!s->holding)
		return CLOCK_NEVER;
	return clock_earlier(s->held_grew + LOGLINE_SPLIT_QUIET_MS, s->held_since + LOGLINE_SPLIT_LONGEST_MS);
}

void logline_split_settle(struct logline_split *s)
{
	if (!s->holding)
		return;
	s->holding = false;
	s->message(s->ctx, (struct span){buf_str(&s->held), s->held.len}, s->held_wall_ms, false);
	buf_clear(&s->held);
}

static bool join(struct logline_split *s, struct span line)
{
	if (!s->holding || s->held.len + 1 + line.len > s->max_line || !logline_join_continues(s->continues, line) ||
		!buf_reserve(&s->held, 1 + line.len))
		return false;
	buf_putc(&s->held, '\n');
	buf_put(&s->held, line.at, line.len);
	s->held_grew = s->now;
	return true;
}

/* A JSON object is whole: what comes behind it would only spoil it. */
static bool stands_alone(const struct logline_split *s, struct span line)
{
	return s->as_json && logline_is_json(line);
}

static void hold(struct logline_split *s, struct span line)
{
	buf_clear(&s->held);
	if (stands_alone(s, line) || buf_put(&s->held, line.at, line.len) < 0) {
		s->message(s->ctx, line, s->wall_ms, false);
		return;
	}
	s->holding = true;
	s->held_wall_ms = s->wall_ms;
	s->held_since = s->held_grew = s->now;
}

/* ---- lines ---- */

static struct span strip(const struct logline_split *s, struct span line)
{
	if (!s->raw && line.len && line.at[line.len - 1] == '\r')
		line.len--;
	return line;
}

static void take_line(struct logline_split *s, struct span line)
{
	if (!s->continues) {
		s->message(s->ctx, line, s->wall_ms, false);
	} else if (!join(s, line)) {
		logline_split_settle(s);
		hold(s, line);
	}
}

/* Pieces join nothing and nothing joins them. */
static void put_piece(struct logline_split *s, struct span piece, bool partial)
{
	logline_split_settle(s);
	s->message(s->ctx, piece, s->wall_ms, partial);
	s->in_pieces = true;
}

/* What is carried is longer than a line may be. */
static void cut(struct logline_split *s)
{
	size_t n = utf8_cut(s->carry.data, s->max_line);
	put_piece(s, (struct span){s->carry.data, n}, true);
	buf_consume(&s->carry, n);
}

static void end_carry(struct logline_split *s)
{
	struct span line = strip(s, (struct span){buf_str(&s->carry), s->carry.len});
	if (line.len > s->max_line) {
		cut(s);
		line = strip(s, (struct span){buf_str(&s->carry), s->carry.len});
	}
	if (!s->in_pieces)
		take_line(s, line);
	else if (line.len)
		put_piece(s, line, false);
	s->in_pieces = false;
	buf_clear(&s->carry);
}

static void carry(struct logline_split *s, const char *at, size_t n)
{
	while (n) {
		if (s->carry.len > s->max_line)
			cut(s);
		size_t room = s->max_line + 1 - s->carry.len;
		size_t part = n < room ? n : room;
		if (buf_put(&s->carry, at, part) < 0)
			buf_clear(&s->carry);
		at += part;
		n -= part;
	}
}

size_t logline_split_feed(struct logline_split *s, const char *bytes, size_t n, ms_t now, int64_t wall_ms)
{
	size_t lines = 0;
	s->now = now;
	s->wall_ms = wall_ms;
	for (const char *at = bytes, *end = bytes + n; at < end;) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t len = (size_t)((newline ? newline : end) - at);
		if (newline && !s->carry.len && !s->in_pieces && len <= s->max_line) {
			take_line(s, strip(s, (struct span){at, len}));
		} else {
			carry(s, at, len);
			if (newline)
				end_carry(s);
		}
		at += len + (newline != NULL);
		lines += newline != NULL;
	}
	return lines;
}

void logline_split_end(struct logline_split *s)
{
	if (s->carry.len)
		end_carry(s);
	logline_split_settle(s);
	s->in_pieces = false;
}
