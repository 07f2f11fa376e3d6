#include "podvisor/control/probes.h"

#include <string.h>

#define EXCLUDED_MAX 65

static const char *const names[VERDICT_QUESTION_COUNT] = {
	[VERDICT_LIVE] = "livez", [VERDICT_READY] = "readyz", [VERDICT_STARTUP] = "startupz"};

static bool is_excluded(const char *const *excluded, const char *name)
{
	for (; *excluded; excluded++)
		if (strcmp(*excluded, name) == 0)
			return true;
	return false;
}

static void put_item(struct buf *out, const struct verdict_item *item, const char *const *excluded)
{
	if (is_excluded(excluded, item->name))
		buf_printf(out, "[+]%s excluded: ok\n", item->name);
	else if (item->ok)
		buf_printf(out, "[+]%s ok%s%s\n", item->name, item->text[0] ? ": " : "", item->text);
	else
		buf_printf(out, "[-]%s failed: %s\n", item->name, item->text[0] ? item->text : "reason unknown");
}

static void put_list(
	struct buf *out, const struct verdict *v, enum verdict_question question, const char *const *excluded)
{
	for (size_t i = 0; i < v->count; i++)
		put_item(out, &v->items[i], excluded);
	buf_printf(out, "%s check %s\n", names[question], v->ok ? "passed" : "failed");
}

/* What passes and still is worth a word in the short answer. */
static bool is_remark(const struct verdict_item *item)
{
	return item->ok && (strncmp(item->text, "degraded", 8) == 0 || strncmp(item->text, "draining", 8) == 0);
}

static void put_short(struct buf *out, const struct verdict *v)
{
	buf_puts(out, "ok\n");
	for (size_t i = 0; i < v->count; i++)
		if (is_remark(&v->items[i]))
			buf_printf(out, "%s: %s\n", v->items[i].name, v->items[i].text);
}

void probes_answer(const struct snapshot *s, enum verdict_question question, const struct query *q, struct answer *a)
{
	const char *excluded[EXCLUDED_MAX];
	struct verdict v;
	query_all(q, "exclude", excluded, EXCLUDED_MAX);
	verdict_of(s->world, question, excluded, s->now, &v);
	a->status = v.ok ? 200 : 503;
	if (v.ok && !query_is_set(q, "verbose"))
		put_short(a->body, &v);
	else
		put_list(a->body, &v, question, excluded);
}
