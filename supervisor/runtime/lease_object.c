#include "podvisor/runtime/lease_object.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "podvisor/base/wall.h"

#define GRANTED_ON "podvisor/granted-on"
#define NEXT       "podvisor/next"
#define YEAR_2024  1704067200

/* FNV-1a: what Kubernetes says is opaque is compared, and shown to nobody. */
static uint64_t hash(const char *text)
{
	uint64_t h = 0xcbf29ce484222325U;
	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3U;
	return h;
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

bool lease_object_read(const json_t *object, struct lease_object *out)
{
	const json_t *metadata = json_object_get(object, "metadata"), *spec = json_object_get(object, "spec");
	const json_t *notes = json_object_get(metadata, "annotations");
	const char *uid = text_of(metadata, "uid"), *version = text_of(metadata, "resourceVersion");
	if (!uid[0] || !version[0])
		return false;
	bool granted = strcmp(text_of(notes, GRANTED_ON), uid) == 0;
	*out = (struct lease_object){.system = hash(uid) | 1, .next = text_of(notes, NEXT)};
	out->row.seq = (int64_t)hash(version);
	out->row.token = json_integer_value(json_object_get(spec, "leaseTransitions"));
	out->row.timeline = granted ? LEASE_OBJECT_TIMELINE : 0;
	snprintf(out->row.holder, sizeof(out->row.holder), "%s", text_of(spec, "holderIdentity"));
	return true;
}

/* ---- writing ---- */

/* MicroTime wants six digits. */
static json_t *micro_time(int64_t wall_ms)
{
	char text[WALL_SIZE];
	wall_format(wall_ms, text);
	return json_sprintf("%.*s000Z", (int)strlen(text) - 1, text);
}

/* The object under that key, made when it is not there. NULL: out of memory. */
static json_t *part_of(json_t *object, const char *key)
{
	json_t *part = json_object_get(object, key);
	if (json_is_object(part))
		return part;
	return json_object_set_new(object, key, json_object()) == 0 ? json_object_get(object, key) : NULL;
}

static int write_notes(json_t *metadata, const struct lease_object_change *change)
{
	json_t *notes = part_of(metadata, "annotations");
	int rc = 0;
	if (change->request == LEASE_ACQUIRE) {
		json_object_del(notes, NEXT);
		rc |= json_object_set_new(notes, GRANTED_ON, json_string(text_of(metadata, "uid")));
	} else if (change->request == LEASE_RELEASE) {
		rc |= json_object_set_new(notes, NEXT, json_string(change->next ? change->next : ""));
	}
	return rc;
}

static int write_spec(json_t *spec, const struct lease_row *row, const struct lease_object_change *change)
{
	int rc = json_object_set_new(spec, "holderIdentity", json_string(row->holder));
	rc |= json_object_set_new(spec, "leaseTransitions", json_integer(row->token));
	rc |= json_object_set_new(spec, "leaseDurationSeconds", json_integer((change->ttl_ms + 999) / 1000));
	rc |= json_object_set_new(spec, "renewTime", micro_time(change->wall_ms));
	if (change->request == LEASE_ACQUIRE)
		rc |= json_object_set_new(spec, "acquireTime", micro_time(change->wall_ms));
	return rc;
}

int lease_object_write(json_t *object, const struct lease_row *row, const struct lease_object_change *change)
{
	json_t *metadata = part_of(object, "metadata");
	int rc = json_object_set_new(part_of(metadata, "labels"), LEASE_OBJECT_LABEL, json_string(change->schema));
	rc |= write_notes(metadata, change);
	rc |= write_spec(part_of(object, "spec"), row, change);
	return rc ? -ENOMEM : 0;
}

json_t *lease_object_new(const char *name, const char *schema, int64_t token, int64_t wall_ms)
{
	int64_t seconds = wall_ms / 1000 - YEAR_2024;
	int64_t first = token > seconds ? token : seconds;
	first = first < 0 ? 0 : first >= INT32_MAX ? INT32_MAX - 1 : first; /* leaseTransitions has 31 bits */
	return json_pack("{s:s,s:s,s:{s:s,s:{s:s}},s:{s:s,s:I}}", "apiVersion", "coordination.k8s.io/v1", "kind",
		"Lease", "metadata", "name", name, "labels", LEASE_OBJECT_LABEL, schema, "spec", "holderIdentity", "",
		"leaseTransitions", (json_int_t)first);
}
