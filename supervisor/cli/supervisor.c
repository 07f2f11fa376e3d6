#include "podvisor/cli/supervisor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/field.h"
#include "podvisor/cli/output.h"
#include "podvisor/io/runtime_dir.h"

#define BODY_MAX (64 << 20) /* the status of 4096 workers is about 6 MiB */

void supervisor_init(struct supervisor *s, const struct options *o)
{
	const char *variable = getenv("PODVISOR_SOCKET");
	*s = (struct supervisor){.verb = o->verb, .cancel_fd = -1, .json = o->given[OPTION_JSON]};
	s->given = o->given[OPTION_SOCKET] ? o->socket : variable && variable[0] ? variable : NULL;
}

void supervisor_say(struct supervisor *s, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(s->said, sizeof(s->said), fmt, args);
	va_end(args);
	if (!s->quiet)
		fprintf(stderr, "podvisor %s: %s\n", s->verb, s->said);
}

void supervisor_call(struct http_call *call, const char *method, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	*call = (struct http_call){.method = method};
	vsnprintf(call->target, sizeof(call->target), fmt, args);
	va_end(args);
	buf_init(&call->body, BODY_MAX);
}

/* Nobody listens at that path: another may be the right one. */
static bool is_absent(int rc)
{
	return rc == -ENOENT || rc == -ECONNREFUSED || rc == -EACCES || rc == -ENOTDIR || rc == -ENAMETOOLONG;
}

static int candidate(const struct supervisor *s, int i, char *path, size_t size)
{
	if (!s->given)
		return runtime_dir_candidate(i, OPTIONS_SOCKET_DEFAULT, path, size);
	if (i > 0 || (size_t)snprintf(path, size, "%s", s->given) >= size)
		return -ENOENT;
	return 0;
}

static int call_all(
	struct supervisor *s, const char *path, struct http_call *calls, size_t n, ms_t timeout_ms, struct err *err)
{
	const struct http_call_wait wait = {.cancel_fd = s->cancel_fd, .tick = s->tick, .ctx = s->tick_ctx};
	return http_call_all_waiting(path, calls, n, timeout_ms, &wait, err);
}

static int give_up(struct supervisor *s, const struct err *err)
{
	supervisor_say(s, "%s: %s", s->path, err->text);
	return err->code == -ECONNRESET || err->code == -ETIMEDOUT || is_absent(err->code) ? EX_UNAVAILABLE
											   : EX_SOFTWARE;
}

/* Tries the places one after another; the first that answers is remembered. */
static int ask_first(struct supervisor *s, struct http_call *calls, size_t n, ms_t timeout_ms)
{
	struct buf tried;
	struct err err = {0};
	char path[sizeof(s->path)] = "";
	int rc = -ENOENT;
	buf_init(&tried, 4096);
	for (int i = 0; i < RUNTIME_DIR_CANDIDATES && is_absent(rc); i++) {
		rc = -ENOENT;
		if (candidate(s, i, path, sizeof(path)) < 0)
			continue;
		/* The fallbacks lie where others may write: their socket there is not podvisor's. */
		if (i > 0 && !runtime_dir_is_safe(path))
			rc = err_set(&err, -EACCES, "its directory is not ours alone");
		else
			rc = call_all(s, path, calls, n, timeout_ms, &err);
		if (is_absent(rc))
			buf_printf(&tried, "%s%s (%s)", tried.len ? ", " : "", path, err.text);
	}
	if (!is_absent(rc)) {
		snprintf(s->path, sizeof(s->path), "%s", path);
		rc = rc == 0 || rc == -ECANCELED ? rc : give_up(s, &err);
	} else {
		supervisor_say(s, "no supervisor answers; tried %s",
			tried.len  ? buf_str(&tried)
			: s->given ? "nothing: the path of the socket is too long"
				   : "nothing");
		rc = EX_UNAVAILABLE;
	}
	buf_fini(&tried);
	return rc;
}

int supervisor_ask_all(struct supervisor *s, struct http_call *calls, size_t n, ms_t timeout_ms)
{
	struct err err;
	if (!s->path[0])
		return ask_first(s, calls, n, timeout_ms);
	int rc = call_all(s, s->path, calls, n, timeout_ms, &err);
	if (rc == 0 || rc == -ECANCELED)
		return rc;
	if (is_absent(rc) || rc == -ECONNRESET)
		err_set(&err, rc, "the supervisor went away");
	return give_up(s, &err);
}

int supervisor_ask(struct supervisor *s, struct http_call *call, ms_t timeout_ms)
{
	return supervisor_ask_all(s, call, 1, timeout_ms);
}

json_t *supervisor_json(const struct http_call *call)
{
	json_t *json = json_loadb(buf_str(&call->body), call->body.len, JSON_ALLOW_NUL, NULL);
	if (json_is_object(json))
		return json;
	json_decref(json);
	return NULL;
}

static void tell_mistakes(struct supervisor *s, const json_t *mistakes)
{
	for (size_t i = 0; !s->quiet && i < json_array_size(mistakes); i++)
		fprintf(stderr, "%s\n", field_item(mistakes, i));
}

/* The sentence of a refusal begins with the first mistake, which stands above it already. */
static bool repeats(const char *error, const json_t *mistakes)
{
	const char *first = json_array_size(mistakes) ? field_item(mistakes, 0) : "";
	return first[0] && strncmp(error, first, strlen(first)) == 0;
}

void supervisor_tell_refusal(struct supervisor *s, const struct http_call *call)
{
	json_t *json = supervisor_json(call);
	const char *error = field_text(json, "error");
	const json_t *mistakes = json_object_get(json, "mistakes");
	tell_mistakes(s, mistakes);
	if (repeats(error, mistakes))
		supervisor_say(s, "refused; the configuration that runs goes on");
	else if (error[0])
		supervisor_say(s, "%s", error);
	else
		supervisor_say(s, "the supervisor answered %d", call->status);
	if (s->json && json && !s->quiet)
		output_json(s->verb, json);
	else
		json_decref(json);
}

int supervisor_get_json(struct supervisor *s, const char *target, json_t **out)
{
	struct http_call call;
	supervisor_call(&call, "GET", "%s", target);
	int code = supervisor_ask(s, &call, SUPERVISOR_PATIENCE_MS);
	if (code == 0 && call.status != 200) {
		supervisor_tell_refusal(s, &call);
		code = call.status < 500 ? 1 : EX_SOFTWARE;
	}
	if (code == 0) {
		*out = supervisor_json(&call);
		if (!*out) {
			supervisor_say(s, "the supervisor's answer is no JSON object");
			code = EX_SOFTWARE;
		}
	}
	buf_fini(&call.body);
	return code;
}
