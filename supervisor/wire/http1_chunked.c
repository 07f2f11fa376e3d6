#include "podvisor/wire/http1_chunked.h"

#include <errno.h>
#include <stdio.h>

#include "podvisor/wire/http1_text.h"

/*          ┌──────────────────────────── CRLF ────────────────────────────┐
 *          ▼                                                              │
 *   ──► FIRST ─hex─► SIZE ─┬─;─► extension ─┬─CR─► SIZE_LF ─LF─┬─► DATA ─► DATA_CR ─► DATA_LF
 *                          └────────────────┘                  │ size 0
 *          ┌───────────────────────────────────────────────────┘
 *          ▼
 *   ──► LINE ─token─► NAME ─:─► VALUE ─CR─► VALUE_LF ─LF─► LINE        anything else ─► BROKEN
 *          └─CR─► END_LF ─LF─► DONE
 *
 *   extension, and ; or CR where it may end (*):
 *   ──► EXT ─token─► EXT_NAME* ─=─► EXT_VALUE ─┬─token─► EXT_TOKEN*
 *                                              └─"─► EXT_QUOTED ─"─► EXT_END*
 */
enum chunked_state {
	FIRST, /* zero: the state before the first byte */
	SIZE,
	EXT,
	EXT_NAME,
	EXT_VALUE,
	EXT_TOKEN,
	EXT_QUOTED,
	EXT_ESCAPED, /* behind a backslash in quotes */
	EXT_END,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	LINE,
	NAME,
	VALUE,
	VALUE_LF,
	END_LF,
	DONE,
	BROKEN
};

#define SIZE_DIGITS_MAX 16

/* The one setter; digits, extensions and trailers are each counted from 0. */
static int enter(struct http1_chunked *c, enum chunked_state state)
{
	if (state == SIZE_LF || (c->state == SIZE && state == EXT))
		c->used = 0;
	c->state = state;
	return 0;
}

static int refuse(struct http1_chunked *c, struct err *err, const char *why)
{
	enter(c, BROKEN);
	return err_set(err, -EBADMSG, "%s", why);
}

static int expect(struct http1_chunked *c, char byte, char wanted, enum chunked_state next, struct err *err)
{
	return byte == wanted ? enter(c, next)
			      : refuse(c, err, "a line of the chunked coding that does not end in CRLF");
}

static int hex_value(char c)
{
	if (http1_is_digit(c))
		return c - '0';
	char lower = (char)(c | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static int step_size(struct http1_chunked *c, char byte, struct err *err)
{
	int digit = hex_value(byte);
	if (digit >= 0) {
		if (c->used++ == SIZE_DIGITS_MAX || c->left > (uint64_t)INT64_MAX >> 4)
			return refuse(c, err, "a chunk size that overflows");
		c->left = c->left << 4 | (unsigned)digit;
		return enter(c, SIZE);
	}
	if (c->state == SIZE && byte == '\r')
		return enter(c, SIZE_LF);
	if (c->state == SIZE && byte == ';')
		return enter(c, EXT);
	return refuse(c, err, "a chunk size that is not all hexadecimal digits");
}

/* ";" name ["=" (token / quoted-string)] (RFC 9112 7.1.1), without blanks around the signs. The state behind the byte,
 * or BROKEN. */
static enum chunked_state behind_extension_byte(enum chunked_state state, char byte)
{
	bool may_end = state == EXT_NAME || state == EXT_TOKEN || state == EXT_END;
	if (may_end && (byte == '\r' || byte == ';'))
		return byte == ';' ? EXT : SIZE_LF;
	if (state == EXT_QUOTED && (byte == '"' || byte == '\\'))
		return byte == '"' ? EXT_END : EXT_ESCAPED;
	if (state == EXT_QUOTED || state == EXT_ESCAPED)
		return http1_char_is(byte, HTTP1_VALUE) ? EXT_QUOTED : BROKEN;
	if (state == EXT_NAME && byte == '=')
		return EXT_VALUE;
	if (state == EXT_VALUE && byte == '"')
		return EXT_QUOTED;
	if (state == EXT_END || !http1_char_is(byte, HTTP1_TOKEN))
		return BROKEN;
	return state == EXT || state == EXT_NAME ? EXT_NAME : EXT_TOKEN;
}

static int step_extension(struct http1_chunked *c, char byte, struct err *err)
{
	enum chunked_state next = behind_extension_byte((enum chunked_state)c->state, byte);
	if (next == BROKEN)
		return refuse(c, err, "a chunk extension that is no name and value");
	if (next != SIZE_LF && c->used++ == HTTP1_CHUNK_EXTENSION_BYTES)
		return refuse(c, err, "chunk extensions of more than 256 bytes");
	return enter(c, next);
}

static int step_trailer(struct http1_chunked *c, char byte, struct err *err)
{
	if (c->used++ == HTTP1_TRAILER_BYTES)
		return refuse(c, err, "trailers of more than 8 KiB");
	if (byte == '\r' && c->state == LINE)
		return enter(c, END_LF);
	if (byte == '\r' && c->state == VALUE)
		return enter(c, VALUE_LF);
	if (byte == ':' && c->state == NAME)
		return enter(c, VALUE);
	if (!http1_char_is(byte, c->state == VALUE ? HTTP1_VALUE : HTTP1_TOKEN))
		return refuse(c, err, "a trailer that is no field");
	return c->state == LINE ? enter(c, NAME) : 0;
}

/* One byte of framing. */
static int step(struct http1_chunked *c, char byte, struct err *err)
{
	switch ((enum chunked_state)c->state) {
	case FIRST:
	case SIZE:
		return step_size(c, byte, err);
	case EXT:
	case EXT_NAME:
	case EXT_VALUE:
	case EXT_TOKEN:
	case EXT_QUOTED:
	case EXT_ESCAPED:
	case EXT_END:
		return step_extension(c, byte, err);
	case SIZE_LF:
		return expect(c, byte, '\n', c->left ? DATA : LINE, err);
	case DATA_CR:
		return expect(c, byte, '\r', DATA_LF, err);
	case DATA_LF:
		return expect(c, byte, '\n', FIRST, err);
	case LINE:
	case NAME:
	case VALUE:
		return step_trailer(c, byte, err);
	case VALUE_LF:
		return expect(c, byte, '\n', LINE, err);
	case END_LF:
		return expect(c, byte, '\n', DONE, err);
	case DATA:
	case DONE:
	case BROKEN:
		break;
	}
	return refuse(c, err, "the chunked coding was broken before");
}

ssize_t http1_chunked_feed(struct http1_chunked *c, struct span bytes, struct span *payload, struct err *err)
{
	size_t at = 0;
	struct span piece = {bytes.at, 0};
	while (at < bytes.len && c->state != DATA && c->state != DONE) {
		int rc = step(c, bytes.at[at++], err);
		if (rc < 0)
			return rc;
	}
	if (c->state == DATA && at < bytes.len) {
		size_t here = bytes.len - at;
		piece = (struct span){bytes.at + at, c->left < here ? (size_t)c->left : here};
		at += piece.len;
		c->left -= piece.len;
		if (c->left == 0)
			enter(c, DATA_CR);
	}
	*payload = piece;
	return (ssize_t)at;
}

bool http1_chunked_done(const struct http1_chunked *c)
{
	return c->state == DONE;
}

size_t http1_chunk_head(char out[HTTP1_CHUNK_HEAD_BYTES + 1], uint64_t bytes)
{
	return (size_t)snprintf(out, HTTP1_CHUNK_HEAD_BYTES + 1, "%llx\r\n", (unsigned long long)bytes);
}
