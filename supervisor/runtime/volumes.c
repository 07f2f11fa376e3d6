#include "podvisor/runtime/volumes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/base/units.h"
#include "podvisor/io/tmpfs.h"

/* What is remembered of a volume between two jobs. */
struct memory {
	bool mounted, made_directory; /* by us: to be undone */
};

struct volumes {
	const struct context *context;
	struct list jobs;
	struct memory *memories; /* by slot */
};

/* One job: everything it needs is its own, for a reload may replace the
 * configuration while the pool is at it. */
struct job {
	struct list node;
	struct volumes *owner; /* NULL: nobody listens any more */
	uv_work_t work;
	uint32_t slot;
	enum effect_kind kind;
	char *path, *owned_by, *keep[3];
	int64_t size_bytes;
	enum volume_mount mount;
	mode_t mode;
	bool clean;
	struct memory memory;
	struct event event; /* the answer */
};

static void job_free(struct job *j)
{
	free(j->path);
	free(j->owned_by);
	for (size_t i = 0; i < sizeof(j->keep) / sizeof(j->keep[0]); i++)
		free(j->keep[i]);
	free(j);
}

/* Appends a clause to the sentence of the answer; "; " between clauses. */
static void PRINTF_LIKE(2, 3) say(struct job *j, const char *fmt, ...)
{
	size_t n = strlen(j->event.text), size = sizeof(j->event.text);
	if (n && n + 2 < size)
		n += (size_t)snprintf(j->event.text + n, size - n, "; ");
	va_list args;
	va_start(args, fmt);
	vsnprintf(j->event.text + n, size - n, fmt, args);
	va_end(args);
}

/* ---- in the pool ---- */

/* What is a mount of its own tells its use; in anything else it is counted. What is
 * allowed is the configured size, or the file system's when that is smaller. */
static int measure(struct job *j, struct tmpfs_facts *facts, struct err *err)
{
	int rc = tmpfs_look(j->path, facts, err);
	if (rc == 0 && !(facts->is_tmpfs && facts->own_mount))
		rc = tmpfs_count(j->path, &facts->used_bytes, &facts->used_inodes, err);
	if (rc < 0)
		return rc;
	bool smaller = facts->is_tmpfs && facts->size_bytes && facts->size_bytes < j->size_bytes;
	j->event.volume.size_bytes = smaller ? facts->size_bytes : j->size_bytes;
	j->event.volume.used_bytes = facts->used_bytes;
	j->event.volume.size_inodes = facts->size_inodes;
	j->event.volume.used_inodes = facts->used_inodes;
	j->event.volume.is_tmpfs = facts->is_tmpfs;
	j->event.volume.mounted_by_us = j->memory.mounted;
	return 0;
}

/* Makes of the path what the configuration says it must be. */
static int provide(struct job *j, struct err *err)
{
	struct tmpfs_facts facts;
	if (j->mount != VOLUME_MOUNT_EXPECT) {
		int rc = tmpfs_make_directory(j->path, j->mode, err);
		if (rc < 0)
			return rc;
		j->memory.made_directory = rc == 1;
	}
	int rc = tmpfs_look(j->path, &facts, err);
	/* Left by a podvisor that was killed: it becomes ours, and goes with us. */
	if (rc == 0 && j->mount == VOLUME_MOUNT_CREATE && facts.own_mount && tmpfs_is_ours(j->path)) {
		j->memory.mounted = true;
		return facts.size_bytes == j->size_bytes ? 0 : tmpfs_resize(j->path, j->size_bytes, err);
	}
	if (rc < 0 || facts.is_tmpfs || j->mount == VOLUME_MOUNT_ANY)
		return rc;
	if (j->mount == VOLUME_MOUNT_EXPECT)
		return err_set(err, -ENODEV,
			"%s is not a tmpfs (mount one there, or set \"mount\" to \"create\" or \"any\")", j->path);
	rc = tmpfs_mount(j->path, j->size_bytes, j->mode, err);
	j->memory.mounted = rc == 0;
	return rc;
}

static void describe(struct job *j, const struct tmpfs_facts *facts)
{
	char allowed[UNITS_TEXT_MAX], real[UNITS_TEXT_MAX];
	units_format_size(j->size_bytes, allowed);
	units_format_size(facts->size_bytes, real);
	if (!facts->is_tmpfs)
		say(j, "%s is on disk, not a RAM disk; %s are allowed", j->path, allowed);
	else if (facts->size_bytes && facts->size_bytes < j->size_bytes)
		say(j, "%s is a tmpfs of %s, smaller than the %s configured", j->path, real, allowed);
	else
		say(j, "%s is a tmpfs%s; %s are allowed", j->path, j->memory.mounted ? ", mounted by podvisor" : "",
			allowed);
}

static int empty(struct job *j, struct err *err)
{
	struct tmpfs_emptied emptied;
	int rc = tmpfs_empty(j->path, (const char *const *)j->keep, &emptied, err);
	if (rc < 0)
		return rc;
	if (emptied.failed)
		say(j, "%lld %s could not be removed (%s)", (long long)emptied.failed,
			emptied.failed == 1 ? "entry" : "entries", emptied.text);
	return 0;
}

static void undo(struct job *j)
{
	bool lazily;
	if (j->memory.mounted && tmpfs_unmount(j->path, &lazily, NULL) == 0)
		j->memory.mounted = false;
	if (j->memory.made_directory && !j->memory.mounted && rmdir(j->path) == 0)
		j->memory.made_directory = false;
}

static void prepare(struct job *j)
{
	struct tmpfs_facts facts;
	struct err err = {0}, small = {0};
	int rc = provide(j, &err);
	if (rc == 0)
		rc = measure(j, &facts, &err);
	if (rc == 0)
		describe(j, &facts);
	/* A restricted pod owns no mount point; what matters is whether it can be used. */
	if (rc == 0 && tmpfs_own(j->path, j->mode, j->owned_by, &small) < 0)
		say(j, "%s", small.text);
	if (rc == 0 && access(j->path, W_OK | X_OK) < 0)
		say(j, "podvisor itself cannot write there");
	if (rc == 0 && j->clean)
		rc = empty(j, &err);
	if (rc == 0)
		rc = measure(j, &facts, &err);
	if (rc == 0)
		return;
	undo(j);
	j->event.kind = EVENT_VOLUME_REFUSED;
	j->event.error = rc;
	snprintf(j->event.text, sizeof(j->event.text), "%.*s", (int)sizeof(j->event.text) - 1, err.text);
}

static void look_again(struct job *j)
{
	struct tmpfs_facts facts;
	struct err err = {0};
	if (measure(j, &facts, &err) < 0)
		say(j, "it could not be measured: %s", err.text);
}

static void release(struct job *j)
{
	struct err err = {0};
	bool lazily = false;
	if (j->memory.mounted && tmpfs_unmount(j->path, &lazily, &err) < 0)
		say(j, "%s", err.text);
	else if (j->memory.mounted)
		say(j, "%s was unmounted%s", j->path, lazily ? ", lazily: something still uses it" : "");
	else
		say(j, "%s stays as it is", j->path);
	j->memory.mounted = false;
	if (j->memory.made_directory && rmdir(j->path) == 0)
		j->memory.made_directory = false;
}

/* What a family's effect does, and the event that answers it. */
static const struct {
	void (*in_pool)(struct job *);
	enum event_kind answer;
} works[EFFECT_KIND_COUNT] = {
	[EFFECT_VOLUME_PREPARE] = {prepare, EVENT_VOLUME_PREPARED},
	[EFFECT_VOLUME_MEASURE] = {look_again, EVENT_VOLUME_MEASURED},
	[EFFECT_VOLUME_RELEASE] = {release, EVENT_VOLUME_RELEASED},
};

/* ---- on the loop ---- */

static void in_pool(uv_work_t *work)
{
	struct job *j = work->data;
	works[j->kind].in_pool(j);
}

static void on_done(uv_work_t *work, int status)
{
	(void)status;
	struct job *j = work->data;
	if (j->owner) {
		j->owner->memories[j->slot] = j->memory;
		list_remove(&j->node);
		loop_post(j->owner->context->loop, &j->event);
	}
	job_free(j);
}

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

static struct job *job_new(struct volumes *v, const struct effect *e)
{
	const struct context *c = v->context;
	const struct config_volume *config = c->world->volumes[e->slot].config;
	struct job *j = calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	*j = (struct job){.owner = v,
		.slot = e->slot,
		.kind = e->kind,
		.path = copy(config->path),
		.owned_by = copy(config->owner),
		/* podvisor's own files may live on the RAM disk that it empties (SPEC 3). */
		.keep = {copy(c->runtime_dir), copy(c->world->config ? c->world->config->control.socket : NULL)},
		.size_bytes = config->size_bytes,
		.mount = config->mount,
		.mode = (mode_t)config->mode,
		.clean = config->clean_on_start,
		.memory = v->memories[e->slot],
		.event = {.kind = works[e->kind].answer, .slot = e->slot}};
	j->event.volume.mounted_by_us = j->memory.mounted;
	j->work.data = j;
	if (!j->keep[0]) {
		j->keep[0] = j->keep[1];
		j->keep[1] = NULL;
	}
	if (!j->path) {
		job_free(j);
		return NULL;
	}
	return j;
}

void volumes_do(struct volumes *v, const struct effect *e)
{
	if (!works[e->kind].in_pool || e->slot >= v->context->world->n_volumes)
		return;
	struct job *j = job_new(v, e);
	if (!j || uv_queue_work(&v->context->loop->uv, &j->work, in_pool, on_done) < 0) {
		struct event failed = {.kind = works[e->kind].answer, .slot = e->slot};
		if (e->kind == EFFECT_VOLUME_PREPARE) {
			failed.kind = EVENT_VOLUME_REFUSED;
			failed.error = -ENOMEM;
		}
		snprintf(failed.text, sizeof(failed.text), "out of memory");
		loop_post(v->context->loop, &failed);
		if (j)
			job_free(j);
		return;
	}
	list_append(&v->jobs, &j->node);
}

int volumes_new(struct volumes **out, const struct context *c, struct err *err)
{
	struct volumes *v = calloc(1, sizeof(*v));
	if (v)
		v->memories = calloc(c->world->n_volumes + 1, sizeof(*v->memories));
	if (!v || !v->memories) {
		free(v);
		return err_set(err, -ENOMEM, "out of memory");
	}
	v->context = c;
	list_init(&v->jobs);
	*out = v;
	return 0;
}

void volumes_free(struct volumes *v)
{
	if (!v)
		return;
	LIST_EACH (at, &v->jobs) {
		struct job *j = LIST_ENTRY(at, struct job, node);
		list_remove(&j->node);
		j->owner = NULL;
		uv_cancel((uv_req_t *)&j->work);
	}
	free(v->memories);
	free(v);
}
