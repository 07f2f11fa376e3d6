#include "podvisor/runtime/lease_roll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLL      "podvisor/replicas"
#define FORGOTTEN 20 /* terms of silence after which one is struck out, whoever notices */

void lease_roll_fini(struct lease_roll *r)
{
	for (int i = 0; i < r->n; i++)
		json_decref(r->members[i].leases);
	r->n = 0;
}

/* ---- reading ---- */

static json_t *load(const json_t *object)
{
	const json_t *notes = json_object_get(json_object_get(object, "metadata"), "annotations");
	const char *text = json_string_value(json_object_get(notes, ROLL));
	return text ? json_loads(text, 0, NULL) : NULL;
}

static const struct lease_roll_member *find(const struct lease_roll *r, const char *id)
{
	for (int i = 0; i < r->n; i++)
		if (strcmp(r->members[i].id, id) == 0)
			return &r->members[i];
	return NULL;
}

static const char *id_of(const json_t *entry)
{
	const char *id = json_string_value(json_object_get(entry, "id"));
	return id ? id : "";
}

static void note(struct lease_roll *next, const struct lease_roll *last, json_t *entry, ms_t now)
{
	struct lease_roll_member *m = &next->members[next->n];
	const struct lease_roll_member *known = find(last, id_of(entry));
	if (next->n == LEASE_MEMBERS_MAX || !id_of(entry)[0])
		return;
	snprintf(m->id, sizeof(m->id), "%s", id_of(entry));
	m->beat = json_integer_value(json_object_get(entry, "beat"));
	m->since = known && known->beat == m->beat ? known->since : now;
	json_t *leases = json_object_get(entry, "leases");
	m->leases = json_is_array(leases) ? json_incref(leases) : json_array();
	next->n++;
}

void lease_roll_read(struct lease_roll *r, const json_t *object, ms_t now)
{
	json_t *list = load(object), *entry;
	struct lease_roll next = {.n = 0};
	size_t i;
	json_array_foreach(list, i, entry) note(&next, r, entry, now);
	json_decref(list);
	lease_roll_fini(r);
	*r = next;
}

bool lease_roll_is_there(const struct lease_roll_member *m, ms_t ttl, ms_t now)
{
	return !clock_due(clock_after(m->since, ttl), now);
}

static bool wants(const struct lease_roll_member *m, const char *lease)
{
	size_t i;
	json_t *name;
	json_array_foreach(m->leases, i,
		name) if (strcmp(json_string_value(name) ? json_string_value(name) : "", lease) == 0) return true;
	return false;
}

const char *lease_roll_newest(const struct lease_roll *r, const char *lease, const char *me, ms_t ttl, ms_t now)
{
	for (int i = r->n - 1; i >= 0; i--) {
		const struct lease_roll_member *m = &r->members[i];
		if (strcmp(m->id, me) != 0 && lease_roll_is_there(m, ttl, now) && wants(m, lease))
			return m->id;
	}
	return "";
}

/* ---- writing ---- */

static int sign(json_t *list, const char *me, const json_t *leases, json_int_t beat)
{
	json_t *entry = json_pack("{s:s,s:I,s:O}", "id", me, "beat", beat, "leases", leases);
	return json_array_append_new(list, entry);
}

/* The others as they are, and this replica in its place, or at the end. NULL: out of memory. */
static json_t *sign_all(
	const struct lease_roll *r, const char *me, const json_t *leases, bool leaving, ms_t ttl, ms_t now)
{
	json_t *list = json_array();
	int rc = 0;
	for (int i = 0; i < r->n; i++) {
		const struct lease_roll_member *m = &r->members[i];
		bool mine = strcmp(m->id, me) == 0;
		if (mine ? leaving : !lease_roll_is_there(m, FORGOTTEN * ttl, now))
			continue;
		rc |= sign(list, m->id, mine ? leases : m->leases, m->beat + mine);
	}
	if (!leaving && !find(r, me))
		rc |= sign(list, me, leases, 1);
	if (rc)
		json_decref(list);
	return rc ? NULL : list;
}

static json_t *notes_of(json_t *object)
{
	json_t *metadata = json_object_get(object, "metadata"), *notes = json_object_get(metadata, "annotations");
	if (!json_is_object(notes) && json_object_set_new(metadata, "annotations", json_object()) == 0)
		notes = json_object_get(metadata, "annotations");
	return notes;
}

bool lease_roll_sign(const struct lease_roll *r, json_t *object, const char *me, const json_t *leases, bool leaving,
	ms_t ttl, ms_t now)
{
	json_t *list = sign_all(r, me, leases, leaving, ttl, now);
	char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
	json_t *value = text ? json_string(text) : NULL;
	free(text);
	json_decref(list);
	return json_object_set_new(notes_of(object), ROLL, value) == 0;
}

json_t *lease_roll_new(const char *name)
{
	return json_pack(
		"{s:s,s:s,s:{s:s}}", "apiVersion", "coordination.k8s.io/v1", "kind", "Lease", "metadata", "name", name);
}
