#include "podvisor/wire/cdp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void cdp_reader_init(struct cdp_reader *r, size_t max_bytes)
{
	*r = (struct cdp_reader){.max_bytes = max_bytes};
	buf_init(&r->pending, max_bytes);
}

void cdp_reader_fini(struct cdp_reader *r)
{
	buf_fini(&r->pending);
}

static void keep(struct cdp_reader *r, const char *bytes, size_t n)
{
	if (r->skipping || !n || buf_put(&r->pending, bytes, n) == 0)
		return;
	r->skipping = true;
	r->skipped++;
	buf_fini(&r->pending);
}

static void forget_delivered(struct cdp_reader *r)
{
	if (!r->delivered)
		return;
	r->delivered = false;
	buf_clear(&r->pending);
}

/* The message ends in this chunk: in one piece it is not copied. */
static bool complete(struct cdp_reader *r, struct span piece, struct span *message)
{
	if (!r->pending.len && !r->skipping && piece.len <= r->max_bytes) {
		*message = piece;
		return true;
	}
	keep(r, piece.at, piece.len);
	if (r->skipping) {
		r->skipping = false;
		return false;
	}
	r->delivered = true;
	*message = (struct span){r->pending.data, r->pending.len};
	return true;
}

bool cdp_reader_take(struct cdp_reader *r, struct span *chunk, struct span *message)
{
	forget_delivered(r);
	while (chunk->len) {
		const char *nul = memchr(chunk->at, 0, chunk->len);
		struct span piece = {chunk->at, nul ? (size_t)(nul - chunk->at) : chunk->len};
		size_t taken = piece.len + (nul ? 1 : 0);
		*chunk = (struct span){chunk->at + taken, chunk->len - taken};
		if (!nul)
			keep(r, piece.at, piece.len);
		else if (complete(r, piece, message))
			return true;
	}
	return false;
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* Titles and addresses of pages stand in events, so a NUL in a string is allowed. */
int cdp_parse(struct span text, struct cdp_message *out)
{
	json_t *root = json_loadb(text.at, text.len, JSON_ALLOW_NUL, NULL);
	struct cdp_message m = {.root = root};
	m.id = json_integer_value(json_object_get(root, "id"));
	m.method = text_of(root, "method");
	if (!json_is_object(root) || (m.id <= 0 && !m.method)) {
		json_decref(root);
		return -EBADMSG;
	}
	const json_t *error = json_object_get(root, "error");
	if (error)
		m.error = text_of(error, "message") ? text_of(error, "message") : "an error without a message";
	m.session = text_of(root, "sessionId");
	m.body = json_object_get(root, m.id > 0 ? "result" : "params");
	*out = m;
	return 0;
}

void cdp_message_fini(struct cdp_message *m)
{
	json_decref(m->root);
	*m = (struct cdp_message){0};
}

const char *cdp_text(const struct cdp_message *m, const char *key)
{
	return text_of(m->body, key);
}

bool cdp_evaluated_to(const struct cdp_message *m, int64_t number)
{
	const json_t *value = json_object_get(json_object_get(m->body, "result"), "value");
	return json_is_integer(value) && json_integer_value(value) == number;
}

static void copy_text(char *out, size_t size, const json_t *object, const char *key)
{
	const char *s = text_of(object, key);
	snprintf(out, size, "%s", s ? s : "");
}

bool cdp_read_version(const struct cdp_message *m, struct cdp_version *out)
{
	if (!text_of(m->body, "product"))
		return false;
	copy_text(out->product, sizeof(out->product), m->body, "product");
	copy_text(out->protocol, sizeof(out->protocol), m->body, "protocolVersion");
	copy_text(out->revision, sizeof(out->revision), m->body, "revision");
	copy_text(out->user_agent, sizeof(out->user_agent), m->body, "userAgent");
	copy_text(out->js_version, sizeof(out->js_version), m->body, "jsVersion");
	return true;
}

static const char *text_or_empty(const json_t *object, const char *key)
{
	const char *text = text_of(object, key);
	return text ? text : "";
}

size_t cdp_read_targets(const struct cdp_message *m, struct cdp_target *out, size_t max)
{
	const json_t *list = json_object_get(m->body, "targetInfos");
	size_t n = json_array_size(list) < max ? json_array_size(list) : max;
	for (size_t i = 0; i < n; i++) {
		const json_t *t = json_array_get(list, i);
		out[i] = (struct cdp_target){.id = text_or_empty(t, "targetId"),
			.type = text_or_empty(t, "type"),
			.context = text_or_empty(t, "browserContextId"),
			.url = text_or_empty(t, "url"),
			.attached = json_is_true(json_object_get(t, "attached"))};
	}
	return n;
}

size_t cdp_read_contexts(const struct cdp_message *m, const char **out, size_t max)
{
	const json_t *list = json_object_get(m->body, "browserContextIds");
	size_t n = 0;
	for (size_t i = 0; i < json_array_size(list) && n < max; i++)
		if (json_is_string(json_array_get(list, i)))
			out[n++] = json_string_value(json_array_get(list, i));
	return n;
}

size_t cdp_read_processes(const struct cdp_message *m, struct cdp_process *out, size_t max)
{
	const json_t *list = json_object_get(m->body, "processInfo");
	size_t n = json_array_size(list) < max ? json_array_size(list) : max;
	for (size_t i = 0; i < n; i++) {
		const json_t *p = json_array_get(list, i);
		out[i] = (struct cdp_process){.type = text_or_empty(p, "type"),
			.pid = json_integer_value(json_object_get(p, "id")),
			.cpu_seconds = json_number_value(json_object_get(p, "cpuTime"))};
	}
	return n;
}

double cdp_read_metric(const struct cdp_message *m, const char *name)
{
	size_t i;
	json_t *metric;
	json_array_foreach(json_object_get(m->body, "metrics"), i, metric)
	{
		if (!strcmp(text_or_empty(metric, "name"), name))
			return json_number_value(json_object_get(metric, "value"));
	}
	return -1;
}

static bool is_counted_page(const json_t *target, const char *but_context)
{
	const char *type = text_of(target, "type"), *context = text_of(target, "browserContextId");
	return type && !strcmp(type, "page") && !(but_context && context && !strcmp(context, but_context));
}

void cdp_count_pages(const struct cdp_message *m, const char *but_context, int64_t *attached, int64_t *detached)
{
	*attached = *detached = 0;
	size_t i;
	json_t *target;
	json_array_foreach(json_object_get(m->body, "targetInfos"), i, target)
	{
		if (!is_counted_page(target, but_context))
			continue;
		if (json_is_true(json_object_get(target, "attached")))
			++*attached;
		else
			++*detached;
	}
}

bool cdp_is_new_page(const struct cdp_message *m, const char *but_context)
{
	return is_counted_page(json_object_get(m->body, "targetInfo"), but_context);
}

static int put_chunk(const char *bytes, size_t n, void *ctx)
{
	return buf_put(ctx, bytes, n);
}

static int put_json(struct buf *out, json_t *value)
{
	return json_dump_callback(value, put_chunk, out, JSON_COMPACT) == 0 ? 0 : out->failed ? out->failed : -ENOMEM;
}

/* Takes params over. All or nothing: half a command would garble the next one. */
static int put_command(struct buf *out, int64_t id, const char *session, const char *method, json_t *params)
{
	size_t before = out->len;
	json_t *command = json_pack(
		"{s:I,s:s,s:s*,s:o*}", "id", (json_int_t)id, "method", method, "sessionId", session, "params", params);
	int rc = command ? put_json(out, command) : -ENOMEM;
	json_decref(command);
	if (rc == 0)
		rc = buf_putc(out, 0);
	if (rc < 0 && out->data)
		out->data[out->len = before] = 0;
	return rc;
}

int cdp_get_version(struct buf *out, int64_t id)
{
	return put_command(out, id, NULL, "Browser.getVersion", NULL);
}

int cdp_get_targets(struct buf *out, int64_t id)
{
	return put_command(out, id, NULL, "Target.getTargets", NULL);
}

int cdp_discover_targets(struct buf *out, int64_t id)
{
	return put_command(out, id, NULL, "Target.setDiscoverTargets", json_pack("{s:b}", "discover", 1));
}

int cdp_create_context(struct buf *out, int64_t id)
{
	return put_command(out, id, NULL, "Target.createBrowserContext", json_pack("{s:b}", "disposeOnDetach", 1));
}

int cdp_create_target(struct buf *out, int64_t id, const char *context, const char *url)
{
	return put_command(out, id, NULL, "Target.createTarget",
		json_pack("{s:s,s:s*,s:b}", "url", url, "browserContextId", context, "background", 1));
}

int cdp_attach(struct buf *out, int64_t id, const char *target)
{
	return put_command(
		out, id, NULL, "Target.attachToTarget", json_pack("{s:s,s:b}", "targetId", target, "flatten", 1));
}

int cdp_close_target(struct buf *out, int64_t id, const char *target)
{
	return put_command(out, id, NULL, "Target.closeTarget", json_pack("{s:s}", "targetId", target));
}

int cdp_evaluate(struct buf *out, int64_t id, const char *session, const char *expression)
{
	return put_command(out, id, session, "Runtime.evaluate",
		json_pack("{s:s,s:b}", "expression", expression, "returnByValue", 1));
}

int cdp_navigate(struct buf *out, int64_t id, const char *session, const char *url)
{
	return put_command(out, id, session, "Page.navigate", json_pack("{s:s}", "url", url));
}

int cdp_capture(struct buf *out, int64_t id, const char *session)
{
	return put_command(out, id, session, "Page.captureScreenshot",
		json_pack("{s:s,s:{s:i,s:i,s:i,s:i,s:i}}", "format", "jpeg", "clip", "x", 0, "y", 0, "width", 1,
			"height", 1, "scale", 1));
}

int cdp_get_contexts(struct buf *out, int64_t id)
{
	return put_command(out, id, NULL, "Target.getBrowserContexts", NULL);
}

int cdp_dispose_context(struct buf *out, int64_t id, const char *context)
{
	return put_command(
		out, id, NULL, "Target.disposeBrowserContext", json_pack("{s:s}", "browserContextId", context));
}

int cdp_detach(struct buf *out, int64_t id, const char *session)
{
	return put_command(out, id, NULL, "Target.detachFromTarget", json_pack("{s:s}", "sessionId", session));
}

int cdp_get_processes(struct buf *out, int64_t id)
{
	return put_command(out, id, NULL, "SystemInfo.getProcessInfo", NULL);
}

int cdp_enable_metrics(struct buf *out, int64_t id, const char *session)
{
	return put_command(out, id, session, "Performance.enable", NULL);
}

int cdp_get_metrics(struct buf *out, int64_t id, const char *session)
{
	return put_command(out, id, session, "Performance.getMetrics", NULL);
}

int cdp_close_browser(struct buf *out, int64_t id)
{
	return put_command(out, id, NULL, "Browser.close", NULL);
}

int cdp_version_document(
	struct buf *out, const struct cdp_version *v, const char *host, const char *id, const char *query)
{
	char webkit[96], address[1024];
	snprintf(webkit, sizeof(webkit), "537.36 (%s)", v->revision);
	int n = snprintf(address, sizeof(address), "ws://%s/devtools/browser/%s%s", host, id, query);
	if (n < 0 || (size_t)n >= sizeof(address))
		return -ENOSPC;
	json_t *document = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "Browser", v->product, "Protocol-Version",
		v->protocol, "User-Agent", v->user_agent, "V8-Version", v->js_version, "WebKit-Version", webkit,
		"webSocketDebuggerUrl", address);
	int rc = document ? put_json(out, document) : -ENOMEM;
	json_decref(document);
	return rc;
}

int cdp_list_document(struct buf *out, struct span text, cdp_is_hidden is_hidden, void *ctx)
{
	json_t *list = json_loadb(text.at, text.len, JSON_ALLOW_NUL, NULL);
	if (!json_is_array(list)) {
		json_decref(list);
		return -EBADMSG;
	}
	for (size_t i = json_array_size(list); i-- > 0;) {
		const char *id = text_of(json_array_get(list, i), "id");
		if (id && is_hidden(ctx, id))
			json_array_remove(list, i);
	}
	int rc = put_json(out, list);
	json_decref(list);
	return rc;
}

int cdp_list_append(struct buf *out, struct span text)
{
	text = span_trim(text);
	if (text.len < 2 || text.at[0] != '[' || text.at[text.len - 1] != ']')
		return -EBADMSG;
	struct span items = span_trim((struct span){text.at + 1, text.len - 2});
	if (!out->len)
		return buf_put(out, text.at, text.len);
	if (!items.len)
		return 0;
	out->len--; /* its bracket */
	if (out->len > 1)
		buf_putc(out, ',');
	buf_put(out, items.at, items.len);
	return buf_putc(out, ']');
}

int cdp_replace(struct buf *out, struct span text, const char *from, const char *to)
{
	size_t n = strlen(from);
	const char *end = text.at + text.len;
	for (const char *at = text.at; at < end;) {
		const char *hit = n ? memmem(at, (size_t)(end - at), from, n) : NULL;
		buf_put(out, at, (size_t)((hit ? hit : end) - at));
		if (!hit)
			break;
		buf_puts(out, to);
		at = hit + n;
	}
	return out->failed;
}
