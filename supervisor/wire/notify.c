#include "podvisor/wire/notify.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/span.h"

static bool read_number(struct span value, int64_t *out)
{
	char text[24];
	if (value.len == 0 || value.len >= sizeof(text))
		return false;
	memcpy(text, value.at, value.len);
	text[value.len] = '\0';
	char *end;
	errno = 0;
	long long number = strtoll(text, &end, 10);
	if (*end || errno || isspace((unsigned char)text[0]))
		return false;
	*out = number;
	return true;
}

/* A span is never negative; what is longer than can be counted (systemd's "infinity" is UINT64_MAX) is the longest. */
static bool read_usec(struct span value, int64_t *out)
{
	int64_t number = 0;
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return false;
		int digit = value.at[i] - '0';
		number = number > (INT64_MAX - digit) / 10 ? INT64_MAX : number * 10 + digit;
	}
	*out = number;
	return value.len;
}

static bool take_flag(struct span value, bool *out)
{
	if (!span_equals(value, "1"))
		return false;
	*out = true;
	return true;
}

static bool take_status(struct span value, struct notify_message *out)
{
	size_t n = value.len < sizeof(out->status) - 1 ? value.len : sizeof(out->status) - 1;
	for (size_t i = 0; i < n; i++)
		out->status[i] = (unsigned char)value.at[i] < ' ' || value.at[i] == 0x7f ? ' ' : value.at[i];
	out->status[n] = '\0';
	return out->has_status = true;
}

static bool take_number(struct span value, bool *has, int64_t *out)
{
	return read_number(value, out) && (*has = true);
}

static bool take_usec(struct span value, bool *has, int64_t *out)
{
	return read_usec(value, out) && (*has = true);
}

static bool take_int(struct span value, bool *has, int *out, int64_t min)
{
	int64_t number;
	if (!read_number(value, &number) || number < min || number > INT32_MAX)
		return false;
	*out = (int)number;
	return *has = true;
}

static bool take(struct span name, struct span value, struct notify_message *out)
{
	if (span_equals(name, "READY"))
		return take_flag(value, &out->ready);
	if (span_equals(name, "STOPPING"))
		return take_flag(value, &out->stopping);
	if (span_equals(name, "RELOADING"))
		return take_flag(value, &out->reloading);
	if (span_equals(name, "BARRIER"))
		return take_flag(value, &out->barrier);
	if (span_equals(name, "FDSTORE"))
		return take_flag(value, &out->fdstore);
	if (span_equals(name, "WATCHDOG"))
		return span_equals(value, "trigger") ? (out->watchdog_trigger = true)
						     : take_flag(value, &out->watchdog);
	if (span_equals(name, "STATUS"))
		return take_status(value, out);
	if (span_equals(name, "ERRNO"))
		return take_int(value, &out->has_errno, &out->errno_value, 0);
	if (span_equals(name, "MAINPID"))
		return take_int(value, &out->has_mainpid, &out->mainpid, 1);
	if (span_equals(name, "EXTEND_TIMEOUT_USEC"))
		return take_usec(value, &out->has_extend, &out->extend_us);
	if (span_equals(name, "WATCHDOG_USEC"))
		return take_usec(value, &out->has_watchdog_usec, &out->watchdog_us);
	if (span_equals(name, "X_PROGRESS"))
		return take_number(value, &out->has_progress, &out->progress);
	return false;
}

static bool stays_here(const char *line, size_t len)
{
	static const char *const names[] = {
		"MAINPID=", "MAINPIDFDID=", "BARRIER=", "FDSTORE=", "FDSTOREREMOVE=", "FDNAME=", "FDPOLL="};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (len >= strlen(names[i]) && memcmp(line, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

size_t notify_pass_on(const char *bytes, size_t n, char *out)
{
	size_t used = 0;
	for (size_t at = 0, len; at < n; at += len + 1) {
		const char *newline = memchr(bytes + at, '\n', n - at);
		len = newline ? (size_t)(newline - bytes) - at : n - at;
		if (!len || stays_here(bytes + at, len))
			continue;
		if (used)
			out[used++] = '\n';
		memcpy(out + used, bytes + at, len);
		used += len;
	}
	return used;
}

int notify_parse(const char *bytes, size_t n, struct notify_message *out)
{
	*out = (struct notify_message){0};
	int understood = 0;
	for (size_t at = 0; at < n;) {
		const char *line = bytes + at;
		const char *newline = memchr(line, '\n', n - at);
		size_t len = newline ? (size_t)(newline - line) : n - at;
		const char *equals = memchr(line, '=', len);
		if (equals) {
			size_t name = (size_t)(equals - line);
			understood += take((struct span){line, name}, (struct span){equals + 1, len - name - 1}, out);
		}
		at += len + 1;
	}
	return understood;
}
