#include "podvisor/runtime/volumes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/base/units.h"
#include "podvisor/io/purge.h"
#include "podvisor/io/tmpfs.h"
#include "podvisor/runtime/browser_launch.h"

#define SLICE_MS 200 /* of a purge: then others get their turn in the pool */
/* An empty directory stays at least so long: whoever made it may be about to put something into it. */
#define DIRECTORY_MS 60000

/* What is remembered of a volume between two jobs. */
struct memory {
	bool mounted, made_directory; /* by us: to be undone */
	struct purge *purge; /* owned; NULL: none is under way */
	struct purge_report told; /* of the purge, in earlier slices */
};

struct volumes {
	const struct context *context;
	struct list jobs;
	struct memory *memories; /* by slot */
	size_t n_memories;
};

/* One job: everything it needs is its own, for a reload may replace the
 * configuration while the pool is at it. */
struct job {
	struct list node;
	struct volumes *owner; /* NULL: nobody listens any more */
	uv_work_t work;
	uint32_t slot;
	enum effect_kind kind;
	char *path, *owned_by, *keep[2];
	char **globs, **guarded; /* owned; NULL-terminated */
	int64_t size_bytes, relief_bytes;
	enum volume_mount mount;
	mode_t mode;
	int low_percent;
	ms_t min_age;
	bool clean;
	atomic_bool cancel;
	struct memory memory;
	struct event event; /* the answer */
};

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static void job_free(struct job *j)
{
	free_list(j->globs);
	free_list(j->guarded);
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
		rc = tmpfs_count(j->path, &j->cancel, &facts->used_bytes, &facts->used_inodes, err);
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
	int rc = tmpfs_empty(j->path, (const char *const *)j->keep, &j->cancel, &emptied, err);
	if (rc < 0)
		return rc;
	if (atomic_load(&j->cancel))
		say(j, "it was not emptied to the end");
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

/* A restricted pod owns no mount point; what matters is whether it can be used. */
static void own(struct job *j, const struct tmpfs_facts *facts)
{
	struct err err = {0};
	bool is_ram_disk = facts->is_tmpfs && facts->own_mount;
	if (!is_ram_disk && tmpfs_check_emptiable(j->path, NULL) < 0)
		say(j, "a directory of the system keeps its mode and owner");
	else if (tmpfs_own(j->path, j->mode, j->owned_by, &err) < 0)
		say(j, "%s", err.text);
	if (access(j->path, W_OK | X_OK) < 0)
		say(j, "podvisor itself cannot write there");
}

static void prepare(struct job *j)
{
	struct tmpfs_facts facts;
	struct err err = {0};
	int rc = provide(j, &err);
	/* What is refused has not been touched, nor walked. */
	if (rc == 0 && (j->clean || j->globs[0]))
		rc = tmpfs_check_emptiable(j->path, &err);
	if (rc == 0)
		rc = measure(j, &facts, &err);
	if (rc == 0) {
		describe(j, &facts);
		own(j, &facts);
	}
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

/* What has to go until it is below low, or what the pod needs. */
static int begin_purge(struct job *j, struct err *err)
{
	struct tmpfs_facts facts;
	int rc = measure(j, &facts, err);
	if (rc < 0)
		return rc;
	struct purge_order order = {.path = j->path,
		.globs = (const char *const *)j->globs,
		.guarded = (const char *const *)j->guarded,
		.keep = (const char *const *)j->keep,
		.min_age = j->min_age,
		.directory_age = j->min_age > DIRECTORY_MS ? j->min_age : DIRECTORY_MS,
		.bytes = j->relief_bytes};
	if (!j->relief_bytes) {
		order.bytes = facts.used_bytes - j->event.volume.size_bytes / 100 * j->low_percent + 1;
		order.inodes = facts.size_inodes ? facts.used_inodes - facts.size_inodes / 100 * j->low_percent + 1 : 0;
	}
	j->memory.told = (struct purge_report){0};
	return purge_new(&j->memory.purge, &order, err);
}

/* What this slice did. */
static void report(struct job *j)
{
	const struct purge_report *now = purge_report(j->memory.purge), *before = &j->memory.told;
	j->event.volume.purge = (struct event_purge){.bytes = now->bytes - before->bytes,
		.files = (int)(now->files - before->files),
		.directories = (int)(now->directories - before->directories),
		.open = (int)now->open,
		.young = (int)now->young,
		.failed = (int)now->failed,
		.unseen = now->unseen};
	j->memory.told = *now;
}

static void end_purge(struct memory *m)
{
	purge_free(m->purge);
	m->purge = NULL;
}

static void purge(struct job *j)
{
	struct err err = {0};
	struct tmpfs_facts facts;
	int rc = j->memory.purge ? 0 : begin_purge(j, &err);
	if (rc == 0)
		rc = purge_step(j->memory.purge, SLICE_MS, &err);
	if (j->memory.purge)
		report(j);
	j->event.volume.purge.more = rc > 0;
	if (rc > 0)
		return;
	if (j->event.volume.purge.failed)
		say(j, "%s", j->memory.told.text);
	end_purge(&j->memory);
	if (rc == 0)
		rc = measure(j, &facts, &err);
	if (rc < 0)
		say(j, "%s", err.text);
}

static void release(struct job *j)
{
	struct err err = {0};
	bool lazily = false;
	end_purge(&j->memory);
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
	[EFFECT_VOLUME_PURGE] = {purge, EVENT_VOLUME_PURGED},
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
	} else {
		end_purge(&j->memory);
	}
	job_free(j);
}

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

static char **copy_list(char **list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	char **copied = calloc(n + 1, sizeof(*copied));
	for (size_t i = 0; copied && i < n; i++)
		if (!(copied[i] = strdup(list[i]))) {
			free_list(copied);
			return NULL;
		}
	return copied;
}

/* Where the browsers keep their generations: only what was meant for them is to be purged there. */
static char **guarded_of(const struct world *w, const struct config_volume *volume)
{
	char **guarded = calloc(w->n_browsers + 1, sizeof(*guarded));
	size_t n = 0;
	for (size_t i = 0; guarded && i < w->n_browsers; i++) {
		const struct config_browser *b = w->browsers[i].config;
		char path[128];
		if (strcmp(b->volume, volume->name) != 0)
			continue;
		snprintf(path, sizeof(path), BROWSER_HOME, b->name);
		if (!(guarded[n++] = strdup(path))) {
			free_list(guarded);
			return NULL;
		}
	}
	return guarded;
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
		.keep = {copy(c->control_socket)},
		.globs = copy_list(config->purge),
		.guarded = guarded_of(c->world, config),
		.size_bytes = config->size_bytes,
		.relief_bytes = e->value,
		.low_percent = config->low_percent,
		.min_age = config->min_age,
		.mount = config->mount,
		.mode = (mode_t)config->mode,
		.clean = config->clean_on_start,
		.memory = v->memories[e->slot],
		.event = {.kind = works[e->kind].answer, .slot = e->slot}};
	j->event.volume.mounted_by_us = j->memory.mounted;
	j->work.data = j;
	if (!j->path || !j->globs || !j->guarded) {
		job_free(j);
		return NULL;
	}
	v->memories[e->slot].purge = NULL; /* it is the job's now */
	return j;
}

static void cancel(struct volumes *v, uint32_t slot)
{
	LIST_EACH (at, &v->jobs) {
		struct job *j = LIST_ENTRY(at, struct job, node);
		if (j->slot == slot)
			atomic_store(&j->cancel, true);
	}
}

void volumes_do(struct volumes *v, const struct effect *e)
{
	if (e->kind == EFFECT_VOLUME_CANCEL)
		cancel(v, e->slot);
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
		if (j) {
			end_purge(&j->memory);
			job_free(j);
		}
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
	v->n_memories = c->world->n_volumes;
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
		atomic_store(&j->cancel, true);
		uv_cancel((uv_req_t *)&j->work);
	}
	for (size_t i = 0; i < v->n_memories; i++)
		end_purge(&v->memories[i]);
	free(v->memories);
	free(v);
}
