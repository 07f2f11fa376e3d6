#include "config_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/glob.h"
#include "podvisor/base/nearest.h"
#include "podvisor/base/signals.h"
#include "podvisor/base/units.h"

static const char *const type_expected[CONFIG_TYPE_COUNT] = {
	[CONFIG_BOOL] = "true or false",
	[CONFIG_NUMBER] = "a whole number",
	[CONFIG_FACTOR] = "a number",
	[CONFIG_DURATION] = "a duration, for instance \"250ms\", \"30s\", \"5m\" or \"12h\"",
	[CONFIG_SIZE] = "a size, for instance \"512Mi\" or \"2Gi\"",
	[CONFIG_PERCENT] = "a percentage, for instance \"85%\"",
	[CONFIG_SIGNAL] = "a signal, for instance \"SIGTERM\"",
	[CONFIG_MODE] = "an octal mode in a string, for instance \"0755\"",
	[CONFIG_CLOSE_CODE] = "1000 to 1003, 1007 to 1014 or 3000 to 4999",
	[CONFIG_STRINGS] = "a list of strings",
	[CONFIG_PAIRS] = "an object of strings",
	[CONFIG_SECTION] = "an object",
	[CONFIG_ENTRIES] = "an object of named entries",
	[CONFIG_ROWS] = "a list of objects",
};

/* A ${...} may stand anywhere in a string, so editors must let it pass. */
#define OR_VARIABLE "|\\$\\{"

static const char *const type_patterns[CONFIG_TYPE_COUNT] = {
	[CONFIG_DURATION] = "^0$|^(?=.)([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$" OR_VARIABLE,
	[CONFIG_SIZE] = "^[0-9]+(\\.[0-9]{1,3})?(Ki|Mi|Gi|Ti|k|M|G|T)?$" OR_VARIABLE,
	[CONFIG_PERCENT] = "^([0-9]|[1-9][0-9]|100)%$" OR_VARIABLE,
	[CONFIG_SIGNAL] = "^[A-Za-z0-9]+$" OR_VARIABLE,
	[CONFIG_MODE] = "^[0-7]{1,5}$" OR_VARIABLE,
};

bool config_type_is_number(enum config_type type)
{
	return type < CONFIG_STRING;
}

bool config_type_is_bare(enum config_type type)
{
	return type == CONFIG_BOOL || type == CONFIG_NUMBER || type == CONFIG_FACTOR || type == CONFIG_CLOSE_CODE;
}

const char *config_type_pattern(enum config_type type)
{
	return type_patterns[type];
}

static int parse_bool(const char *text, int64_t *out, struct err *err)
{
	*out = strcmp(text, "true") == 0;
	return *out || strcmp(text, "false") == 0 ? 0 : err_set(err, -EINVAL, "is neither true nor false");
}

static int parse_whole(const char *text, int base, int64_t *out, struct err *err)
{
	char *end;
	size_t sign = base == 10 && text[0] == '-';
	if (text[sign] < '0' || text[sign] > '9') /* strtoll alone would take blanks and a plus */
		return err_set(err, -EINVAL, "is no whole number");
	errno = 0;
	*out = strtoll(text, &end, base);
	if (*end)
		return err_set(err, -EINVAL, base == 8 ? "is not octal" : "is no whole number");
	return errno == ERANGE ? err_set(err, -ERANGE, "is too large") : 0;
}

static int parse_choice(const struct config_word *words, const char *text, int64_t *out, struct err *err)
{
	for (size_t i = 0; words[i].word; i++)
		if (strcmp(words[i].word, text) == 0) {
			*out = (int64_t)i;
			return words[i].planned ? err_set(err, -ENOTSUP, "is not available in this version") : 0;
		}
	return err_set(err, -EINVAL, "is not known");
}

static int parse_close_code(const char *text, int64_t *out, struct err *err)
{
	int rc = parse_whole(text, 10, out, err);
	if (rc < 0)
		return rc;
	/* RFC 6455 7.4 and IANA's registry: 1004 is reserved, 1005, 1006 and 1015 never stand in a frame. */
	bool fits = (*out >= 1000 && *out <= 1003) || (*out >= 1007 && *out <= 1014) || (*out >= 3000 && *out <= 4999);
	return fits ? 0 : err_set(err, -ERANGE, "may not stand in a Close frame");
}

static int parse_type(const struct config_key *key, const char *text, int64_t *out, struct err *err)
{
	int number = 0, rc;
	switch (key->type) {
	case CONFIG_BOOL:
		return parse_bool(text, out, err);
	case CONFIG_NUMBER:
		return parse_whole(text, 10, out, err);
	case CONFIG_FACTOR:
		return units_parse_factor(text, out, err);
	case CONFIG_DURATION:
		return units_parse_duration(text, out, err);
	case CONFIG_SIZE:
		return units_parse_size(text, out, err);
	case CONFIG_PERCENT:
		rc = units_parse_percent(text, &number, err);
		*out = number;
		return rc;
	case CONFIG_CHOICE:
		return parse_choice(key->words, text, out, err);
	case CONFIG_SIGNAL:
		number = signals_parse(text);
		*out = number;
		return number < 0 ? err_set(err, -EINVAL, "is not a signal") : 0;
	case CONFIG_MODE:
		return parse_whole(text, 8, out, err);
	case CONFIG_CLOSE_CODE:
		return parse_close_code(text, out, err);
	default:
		return err_set(err, -EINVAL, "is no value");
	}
}

/* Only these have limits of the key's own. */
static bool has_limits(enum config_type type)
{
	return type == CONFIG_NUMBER || type == CONFIG_FACTOR || type == CONFIG_DURATION || type == CONFIG_SIZE ||
	       type == CONFIG_PERCENT || type == CONFIG_MODE;
}

int config_value_parse(const struct config_key *key, const char *text, int64_t *out, struct err *err)
{
	int64_t value = 0;
	if (key->word && strcmp(text, key->word) == 0) {
		*out = key->word_value;
		return 0;
	}
	int rc = parse_type(key, text, &value, err);
	if (rc < 0)
		return rc;
	if (has_limits(key->type) && value < key->min)
		return err_set(err, -ERANGE, "is too small");
	if (has_limits(key->type) && key->max && value > key->max)
		return err_set(err, -ERANGE, "is too large");
	if (key->type == CONFIG_NUMBER && key->width == sizeof(int) && (value > INT32_MAX || value < INT32_MIN))
		return err_set(err, -ERANGE, "is too large");
	*out = value;
	return 0;
}

const char *config_value_format(const struct config_key *key, int64_t value, char out[CONFIG_VALUE_TEXT_MAX])
{
	if (key->word && value == key->word_value)
		return key->word;
	switch (key->type) {
	case CONFIG_BOOL:
		return value ? "true" : "false";
	case CONFIG_FACTOR:
		return units_format_factor(value, out);
	case CONFIG_DURATION:
		return units_format_duration(value, out);
	case CONFIG_SIZE:
		return units_format_size(value, out);
	case CONFIG_PERCENT:
		return units_format_percent((int)value, out);
	case CONFIG_CHOICE:
		return key->words[value].word;
	case CONFIG_SIGNAL:
		if (signals_name((int)value))
			return signals_name((int)value);
		break;
	case CONFIG_MODE:
		snprintf(out, CONFIG_VALUE_TEXT_MAX, "%04llo", (unsigned long long)value);
		return out;
	default:
		break;
	}
	snprintf(out, CONFIG_VALUE_TEXT_MAX, "%lld", (long long)value);
	return out;
}

int64_t config_value_load(const struct config_key *key, const void *base)
{
	const char *at = (const char *)base + key->offset;
	bool flag;
	int32_t narrow;
	int64_t wide;
	switch (key->width) {
	case sizeof(flag):
		memcpy(&flag, at, sizeof(flag));
		return flag;
	case sizeof(narrow):
		memcpy(&narrow, at, sizeof(narrow));
		return narrow;
	default:
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
}

void config_value_store(const struct config_key *key, void *base, int64_t value)
{
	char *at = (char *)base + key->offset;
	bool flag = value != 0;
	int32_t narrow = (int32_t)value;
	switch (key->width) {
	case sizeof(flag):
		memcpy(at, &flag, sizeof(flag));
		break;
	case sizeof(narrow):
		memcpy(at, &narrow, sizeof(narrow));
		break;
	default:
		memcpy(at, &value, sizeof(value));
	}
}

/* --- syntaxes of strings --- */

static bool is_visible(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

static bool fits_text(const char *text)
{
	return *text != '\0';
}

static bool fits_anything(const char *text)
{
	(void)text;
	return true;
}

static bool fits_path(const char *text)
{
	return text[0] == '/';
}

/* sun_path of sockaddr_un, with its NUL. */
static bool fits_socket(const char *text)
{
	return fits_path(text) && strlen(text) <= 107;
}

static bool is_port(const char *text)
{
	size_t n = strspn(text, "0123456789");
	return n >= 1 && n <= 5 && !text[n] && atoi(text) >= 1 && atoi(text) <= 65535;
}

static bool is_host(const char *host, size_t n)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
	return n >= 1 && n <= 253 && strspn(host, allowed) >= n;
}

bool config_address_host(const char *address, char *out, size_t size)
{
	const char *colon = strrchr(address, ':');
	if (!colon || !is_port(colon + 1))
		return false;
	size_t n = (size_t)(colon - address);
	if (n >= 2 && address[0] == '[' && address[n - 1] == ']') {
		struct in6_addr v6;
		snprintf(out, size, "%.*s", (int)n - 2, address + 1);
		return inet_pton(AF_INET6, out, &v6) == 1;
	}
	snprintf(out, size, "%.*s", (int)n, address);
	return is_host(address, n);
}

static bool fits_address(const char *text)
{
	char host[256];
	return config_address_host(text, host, sizeof(host));
}

static bool fits_target(const char *text)
{
	return strncmp(text, "unix:", 5) == 0 ? fits_socket(text + 5) && is_visible(text) : fits_address(text);
}

static bool fits_url(const char *text)
{
	const char *host = strncmp(text, "http://", 7) == 0    ? text + 7
			   : strncmp(text, "https://", 8) == 0 ? text + 8
							       : NULL;
	char address[300];
	if (!host || !is_visible(text))
		return false;
	size_t n = strcspn(host, "/?#");
	const char *at = memrchr(host, '@', n); /* user:password@ */
	if (at) {
		n -= (size_t)(at + 1 - host);
		host = at + 1;
	}
	if (n == 0 || n > 260)
		return false;
	/* Without a port, one is added, so that there is one rule for hosts. */
	bool bare = host[0] == '[' ? host[n - 1] == ']' : !memchr(host, ':', n);
	snprintf(address, sizeof(address), "%.*s%s", (int)n, host, bare ? ":80" : "");
	return fits_address(address);
}

static bool fits_prefix(const char *text)
{
	return text[0] == '/' && is_visible(text) && !strpbrk(text, "?#");
}

static bool fits_network(const char *text)
{
	char address[INET6_ADDRSTRLEN];
	struct in6_addr bytes;
	size_t n = strcspn(text, "/");
	if (n >= sizeof(address))
		return false;
	snprintf(address, sizeof(address), "%.*s", (int)n, text);
	int bits = inet_pton(AF_INET, address, &bytes) == 1 ? 32 : inet_pton(AF_INET6, address, &bytes) == 1 ? 128 : -1;
	if (bits < 0 || !text[n])
		return bits >= 0;
	const char *mask = text + n + 1;
	size_t digits = strspn(mask, "0123456789");
	return digits >= 1 && digits <= 3 && !mask[digits] && atoi(mask) <= bits;
}

static bool fits_identifier(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789_");
	return n >= 1 && n <= 63 && !text[n] && !(text[0] >= '0' && text[0] <= '9');
}

static bool fits_label(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return n >= 1 && n < CONFIG_LEASE_MAX && !text[n];
}

/* RFC 1123 2.1: what Kubernetes takes for the name of a namespace. */
static bool fits_dns_label(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");
	return n >= 1 && n <= 63 && !text[n] && text[0] != '-' && text[n - 1] != '-';
}

/* RFC 6455 5.5: a control frame carries 125 bytes, two of them the code. */
static bool fits_reason(const char *text)
{
	return strlen(text) <= 123;
}

/* A path within the tz database; without dots there is no way out of it. */
static bool fits_zone(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/";
	size_t n = strspn(text, allowed);
	return n >= 1 && n <= 64 && !text[n] && text[0] != '/' && text[n - 1] != '/';
}

static const struct {
	bool (*fits)(const char *text);
	const char *expected, *pattern;
} syntaxes[CONFIG_SYNTAX_COUNT] = {
	[CONFIG_TEXT] = {fits_text, "a string that is not empty", "."},
	[CONFIG_ANYTHING] = {fits_anything, "a string", NULL},
	[CONFIG_PATH] = {fits_path, "an absolute path", "^/" OR_VARIABLE},
	[CONFIG_SOCKET] = {fits_socket, "an absolute path of at most 107 bytes", "^/" OR_VARIABLE},
	[CONFIG_ADDRESS] = {fits_address, "HOST:PORT, for instance \"127.0.0.1:3000\"", ":[0-9]+$" OR_VARIABLE},
	[CONFIG_TARGET] = {fits_target, "HOST:PORT or unix:PATH (at most 107 bytes), for instance \"127.0.0.1:3000\"",
		"^unix:/|:[0-9]+$" OR_VARIABLE},
	[CONFIG_URL] = {fits_url, "a URL, for instance \"http://127.0.0.1:3000/healthz\"", "^https?://." OR_VARIABLE},
	[CONFIG_PREFIX] = {fits_prefix, "a path that begins with \"/\", without \"?\" and \"#\"", "^/" OR_VARIABLE},
	[CONFIG_NETWORK] = {fits_network, "a network, for instance \"10.0.0.0/8\"",
		"^[0-9a-fA-F.:]+(/[0-9]+)?$" OR_VARIABLE},
	[CONFIG_IDENTIFIER] = {fits_identifier, "letters a to z, digits and \"_\", at most 63",
		"^[a-z_][a-z0-9_]{0,62}$" OR_VARIABLE},
	[CONFIG_LABEL] = {fits_label, "letters, digits, \".\", \"_\" and \"-\", at most 60",
		"^[A-Za-z0-9._-]{1,60}$" OR_VARIABLE},
	[CONFIG_DNS_LABEL] = {fits_dns_label, "letters a to z, digits and \"-\" in between, at most 63",
		"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$" OR_VARIABLE},
	[CONFIG_REASON] = {fits_reason, "at most 123 bytes", NULL},
	[CONFIG_CRON] = {fits_text, "a cron expression of five fields, for instance \"*/15 * * * *\"",
		"^[ \t]*(@[A-Za-z]+|([^ \t]+[ \t]+){4}[^ \t]+)[ \t]*$" OR_VARIABLE},
	[CONFIG_ZONE] = {fits_zone, "the name of a time zone, for instance \"Europe/Berlin\"",
		"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$" OR_VARIABLE},
	[CONFIG_DSN] = {fits_text, "a connection string of libpq, for instance \"postgres://host/database\"", "."},
	[CONFIG_GLOB] = {glob_is_valid,
		"names below the path, with \"**\", \"*\" and \"?\" alone as wildcards, for instance \"**/Cache/**\"",
		"^[^/\\[\\]{}\\\\]+(/[^/\\[\\]{}\\\\]+)*$" OR_VARIABLE},
	[CONFIG_REFERENCE] = {fits_text, "a name", "."},
};

bool config_syntax_fits(enum config_syntax syntax, const char *text)
{
	return syntaxes[syntax].fits(text);
}

const char *config_syntax_expected(enum config_syntax syntax)
{
	return syntaxes[syntax].expected;
}

const char *config_syntax_pattern(enum config_syntax syntax)
{
	return syntaxes[syntax].pattern;
}

/* --- sentences --- */

static void expected_words(const struct config_word *words, struct buf *out)
{
	buf_puts(out, "one of ");
	for (size_t i = 0; words[i].word; i++)
		if (!words[i].planned)
			buf_printf(out, "%s\"%s\"", i && out->data[out->len - 1] == '"' ? ", " : "", words[i].word);
}

void config_value_limits(const struct config_key *key, const char *quote, struct buf *out)
{
	char min[CONFIG_VALUE_TEXT_MAX], max[CONFIG_VALUE_TEXT_MAX];
	if (!has_limits(key->type) || (!key->min && !key->max))
		return;
	const char *low = config_value_format(key, key->min, min), *high = config_value_format(key, key->max, max);
	if (key->max)
		buf_printf(out, ", %s%s%s to %s%s%s", quote, low, quote, quote, high, quote);
	else
		buf_printf(out, ", at least %s%s%s", quote, low, quote);
}

void config_value_expected(const struct config_key *key, struct buf *out)
{
	if (key->type == CONFIG_CHOICE)
		expected_words(key->words, out);
	else if (key->type == CONFIG_STRING)
		buf_puts(out, config_syntax_expected(key->syntax));
	else
		buf_puts(out, type_expected[key->type]);
	config_value_limits(key, config_type_is_bare(key->type) ? "" : "\"", out);
	if (key->word)
		buf_printf(out, ", or \"%s\"", key->word);
}
