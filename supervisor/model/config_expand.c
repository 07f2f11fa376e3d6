#include "config_expand.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/buf.h"

#define DEPTH_MAX 8 /* of defaults within defaults */

static void expand_into(struct config_expand *x, const char *text, size_t len, struct buf *out, int depth);

static void mistake(struct config_expand *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void mistake(struct config_expand *x, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX + 64];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	x->failed = true;
	x->mistake(x->ctx, text);
}

static bool is_utf8(const char *text)
{
	json_t *value = json_string(text);
	json_decref(value);
	return value != NULL;
}

static bool is_variable(const char *name, size_t n)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
	return n && n < 128 && strspn(name, letters) >= n && !(name[0] >= '0' && name[0] <= '9');
}

/* Files of secrets often end with a newline that is no part of the secret. */
static void put_file(struct config_expand *x, const char *at, size_t n, struct buf *out)
{
	char path[1024];
	struct err err = {0};
	x->secret = true;
	if (n == 0 || n >= sizeof(path) || at[0] != '/') {
		mistake(x, "names no file in ${file:...} (expected an absolute path)");
		return;
	}
	snprintf(path, sizeof(path), "%.*s", (int)n, at);
	char *text = x->source->file(x->source->ctx, path, &err);
	if (!text) {
		mistake(x, "cannot be read: %s", err.text);
		return;
	}
	size_t len = strlen(text);
	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		text[--len] = '\0';
	if (!is_utf8(text))
		mistake(x, "cannot be read: %s: not UTF-8", path);
	else
		buf_puts(out, text);
	free(text);
}

static void put_variable(struct config_expand *x, const char *at, size_t n, struct buf *out, int depth)
{
	char name[128];
	const char *fallback = memmem(at, n, ":-", 2);
	size_t len = fallback ? (size_t)(fallback - at) : n;
	if (!is_variable(at, len)) {
		mistake(x, "has something else than a name in ${...} (expected ${VAR}, ${VAR:-default} or "
			   "${file:/path}; a "
			   "dollar sign is $$)");
		return;
	}
	snprintf(name, sizeof(name), "%.*s", (int)len, at);
	x->secret |= config_name_is_secret(name);
	const char *value = x->source->variable(x->source->ctx, name);
	if (fallback && (!value || !*value)) { /* as in a shell: unset or empty */
		expand_into(x, fallback + 2, n - len - 2, out, depth + 1);
		return;
	}
	if ((!value || !*value) && x->source->host && strcmp(name, "HOSTNAME") == 0)
		value = x->source->host;
	if (!value)
		mistake(x,
			"needs the environment variable %s, which is not set (${%s:-default} would give it a default)",
			name, name);
	else if (!is_utf8(value))
		mistake(x, "cannot use the environment variable %s: it is not UTF-8", name);
	else
		buf_puts(out, value);
}

/* Length up to the brace that closes the one before text; SIZE_MAX when none does. */
static size_t closing_brace(const char *text, size_t len)
{
	int open = 1;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '$' && i + 1 < len && text[i + 1] == '{') {
			open++;
			i++;
		} else if (text[i] == '}' && --open == 0) {
			return i;
		}
	}
	return SIZE_MAX;
}

/* What stands between ${ and }. */
static void put_reference(struct config_expand *x, const char *at, size_t n, struct buf *out, int depth)
{
	size_t from = out->len;
	bool before = x->secret;
	x->secret = false;
	if (n >= 5 && memcmp(at, "file:", 5) == 0)
		put_file(x, at + 5, n - 5, out);
	else
		put_variable(x, at, n, out, depth);
	if (x->secret && out->len > from)
		x->kept(x->ctx, out->data + from, out->len - from);
	x->secret |= before;
}

static void expand_into(struct config_expand *x, const char *text, size_t len, struct buf *out, int depth)
{
	if (depth > DEPTH_MAX) {
		mistake(x, "has defaults within defaults, more than %d deep", DEPTH_MAX);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		char next = i + 1 < len ? text[i + 1] : '\0';
		if (text[i] != '$' || (next != '$' && next != '{')) {
			buf_putc(out, text[i]);
			continue;
		}
		if (next == '$') {
			buf_putc(out, '$');
			i++;
			continue;
		}
		size_t n = closing_brace(text + i + 2, len - i - 2);
		if (n == SIZE_MAX) {
			mistake(x, "has a ${ without its } (a dollar sign is $$)");
			return;
		}
		put_reference(x, text + i + 2, n, out, depth);
		i += n + 2;
	}
}

char *config_expand(struct config_expand *x, const char *text)
{
	struct buf out;
	buf_init(&out, CONFIG_EXPANDED_MAX);
	x->secret = x->failed = false;
	expand_into(x, text, strlen(text), &out, 0);
	if (out.failed == -ENOSPC)
		mistake(x, "is longer than 1 MiB");
	char *result = x->failed ? NULL : buf_take(&out);
	buf_fini(&out);
	return result;
}
