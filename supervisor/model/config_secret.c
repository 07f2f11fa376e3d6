#include "config_secret.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_walk.h"
#include "podvisor/base/buf.h"
#include "podvisor/model/config.h"

#define MASK        "***"
#define MASKED_MAX  (1 << 21)
#define BLANKS      " \t\r\n\f\v"
#define NAME_LETTER "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"

bool config_name_is_secret(const char *name)
{
	static const char *const parts[] = {"password", "passwd", "passphrase", "secret", "token", "credential",
		"private", "apikey", "api_key", "api-key", "access_key", "access-key", "scram_", "cookie",
		"authorization", "signature"};
	static const char *const ends[] = {"_pass", "_key", "_pw", "_pwd", "_auth", "-pass", "-key", "-auth", "_dsn"};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcasestr(name, parts[i]))
			return true;
	size_t len = strlen(name);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (len >= strlen(ends[i]) && strcasecmp(name + len - strlen(ends[i]), ends[i]) == 0)
			return true;
	return strcasecmp(name, "pass") == 0 || strcasecmp(name, "auth") == 0 || strcasecmp(name, "dsn") == 0;
}

/* ---- values ---- */

static bool is_kept(const struct config *c, const char *value, size_t n)
{
	for (size_t i = 0; i < c->n_secret_values; i++)
		if (strlen(c->secret_values[i]) == n && memcmp(c->secret_values[i], value, n) == 0)
			return true;
	return false;
}

static bool keep_line(struct config *c, const char *value, size_t n)
{
	if (n < CONFIG_CONCEAL_LEAST || is_kept(c, value, n))
		return true;
	char **more = realloc(c->secret_values, (c->n_secret_values + 1) * sizeof(*more));
	if (more)
		c->secret_values = more;
	char *copy = more ? strndup(value, n) : NULL;
	if (!copy)
		return false;
	size_t at = c->n_secret_values++;
	for (; at > 0 && strlen(more[at - 1]) < n; at--)
		more[at] = more[at - 1];
	more[at] = copy;
	return true;
}

bool config_secret_keep(struct config *c, const char *value, size_t n)
{
	bool kept = true;
	for (size_t line; kept && n; value += line, n -= line) {
		const char *newline = memchr(value, '\n', n);
		line = newline ? (size_t)(newline - value) + 1 : n;
		kept = keep_line(c, value, newline ? line - 1 : line);
	}
	return kept;
}

void config_secret_free(struct config *c)
{
	for (size_t i = 0; i < c->n_secret_values; i++) {
		explicit_bzero(c->secret_values[i], strlen(c->secret_values[i]));
		free(c->secret_values[i]);
	}
	free(c->secret_values);
}

/* The mask in the place of n bytes, of which there are no fewer than it has. */
static char *mask_at(char *at, size_t n)
{
	memset(at, '*', strlen(MASK));
	memmove(at + strlen(MASK), at + n, strlen(at + n) + 1);
	return at + strlen(MASK);
}

static void conceal_value(char *text, const char *value)
{
	size_t n = strlen(value);
	for (char *at = text; (at = strstr(at, value));)
		at = mask_at(at, n);
	size_t len = strlen(text), most = len < n - 1 ? len : n - 1;
	for (size_t part = most; part >= CONFIG_CONCEAL_LEAST; part--)
		if (memcmp(text + len - part, value, part) == 0) {
			mask_at(text + len - part, part);
			return;
		}
}

void config_conceal(const struct config *c, char *text)
{
	for (size_t i = 0; text[0] && i < c->n_secret_values; i++)
		conceal_value(text, c->secret_values[i]);
}

/* ---- names ---- */

static bool name_is_secret(const char *name, size_t n)
{
	char copy[128];
	if (n >= sizeof(copy))
		return true; /* nobody's name for something harmless */
	memcpy(copy, name, n);
	copy[n] = '\0';
	return config_name_is_secret(copy);
}

/* "name=value" pieces between separators: values of secrets masked. A name with
 * an escape is not decoded but taken for a secret's. */
static void mask_query(const char *query, struct buf *out)
{
	while (*query) {
		size_t n = strcspn(query, "&#" BLANKS);
		const char *equals = memchr(query, '=', n);
		size_t name = equals ? (size_t)(equals - query) : n;
		bool hide = equals && (name_is_secret(query, name) || memchr(query, '%', name));
		if (hide)
			buf_printf(out, "%.*s=%s", (int)name, query, MASK);
		else
			buf_put(out, query, n);
		query += n;
		if (*query)
			buf_putc(out, *query++);
	}
}

/* What stands behind "://": user:password@rest. Puts "user:***" and returns where
 * rest begins, at its @; without a password puts nothing and returns at. The last
 * @ counts, so that a password with an unescaped @, / or ? does not leak its end. */
static const char *mask_user(const char *at, size_t n, struct buf *out)
{
	const char *end = memrchr(at, '@', n), *colon = end ? memchr(at, ':', (size_t)(end - at)) : NULL;
	if (!colon)
		return at;
	buf_put(out, at, (size_t)(colon - at));
	buf_puts(out, ":" MASK);
	return end;
}

static void mask_uri(const char *uri, struct buf *out)
{
	const char *user = strstr(uri, "://") + 3;
	buf_put(out, uri, (size_t)(user - uri));
	const char *rest = mask_user(user, strlen(user), out);
	size_t n = strcspn(rest, "?");
	buf_put(out, rest, n);
	if (rest[n] == '?') {
		buf_putc(out, '?');
		mask_query(rest + n + 1, out);
	}
}

/* One value as libpq reads it: quoted or up to a blank, with backslashes. Returns its end. */
static const char *skip_value(const char *at)
{
	bool quoted = *at == '\'';
	at += quoted;
	while (*at && (quoted ? *at != '\'' : !strchr(BLANKS, *at))) {
		if (*at == '\\' && at[1])
			at++;
		at++;
	}
	return at + (quoted && *at == '\'');
}

/* key=value pairs; -1 when the text has another form. */
static int mask_pairs(const char *text, struct buf *out)
{
	const char *copied = text; /* what stands before it is in out */
	for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
		size_t name = strcspn(text, "=" BLANKS);
		const char *equals = text + name + strspn(text + name, BLANKS);
		if (*equals != '=' || name == 0)
			return -1;
		const char *value = equals + 1 + strspn(equals + 1, BLANKS), *end = skip_value(value);
		bool hide = name_is_secret(text, name);
		buf_put(out, copied, (size_t)((hide ? value : end) - copied));
		if (hide)
			buf_puts(out, MASK);
		text = copied = end;
	}
	return buf_puts(out, copied);
}

char *config_masked_dsn(const char *dsn)
{
	struct buf out;
	buf_init(&out, MASKED_MAX);
	if (strncmp(dsn, "postgres://", 11) == 0 || strncmp(dsn, "postgresql://", 13) == 0) {
		mask_uri(dsn, &out);
	} else if (strstr(dsn, "://") || mask_pairs(dsn, &out) < 0) {
		buf_clear(&out);
		buf_puts(&out, MASK); /* unknown form: say nothing */
	}
	char *text = buf_take(&out);
	buf_fini(&out);
	return text;
}

/* Length of the word at text that looks like "password=" up to its "=", or 0. */
static size_t secret_assignment(const char *text)
{
	size_t n = strspn(text, NAME_LETTER);
	return n && text[n] == '=' && name_is_secret(text, n) ? n + 1 : 0;
}

char *config_masked_text(const char *text)
{
	struct buf out;
	buf_init(&out, MASKED_MAX);
	while (*text) {
		size_t word = strspn(text, NAME_LETTER), n = secret_assignment(text);
		if (n) {
			buf_put(&out, text, n);
			buf_puts(&out, MASK);
			text += n + strcspn(text + n, "&;\"'" BLANKS);
		} else if (strncmp(text, "://", 3) == 0) {
			buf_puts(&out, "://");
			text = mask_user(text + 3, strcspn(text + 3, "\"'" BLANKS), &out);
		} else {
			n = word ? word : 1;
			buf_put(&out, text, n);
			text += n;
		}
	}
	char *masked = buf_take(&out);
	buf_fini(&out);
	return masked;
}

/* "--password" "secret": the option tells what follows. */
static bool is_secret_option(const char *text)
{
	return text[0] == '-' && !strchr(text, '=') && config_name_is_secret(text);
}

static char *shown_word(const struct config *c, const char *word, const char *before)
{
	bool secret = config_is_secret(c, word) || (before && is_secret_option(before));
	char *shown = secret ? strdup(MASK) : config_masked_text(word);
	if (shown)
		config_conceal(c, shown);
	return shown;
}

char **config_shown_strings(const struct config *c, char *const strings[])
{
	size_t n = 0;
	while (strings[n])
		n++;
	char **shown = config_strings_new(n);
	for (size_t i = 0; shown && i < n; i++) {
		shown[i] = shown_word(c, strings[i], i ? strings[i - 1] : NULL);
		if (!shown[i]) {
			config_strings_free(shown);
			return NULL;
		}
	}
	return shown;
}
