#include "podvisor/io/remove_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "podvisor/base/list.h"

#define TRIES          4
#define FIRST_PAUSE_MS 200

/* ---- in a thread ---- */

/* One directory that is being emptied. */
struct level {
	DIR *dir;
	char name[256]; /* in the level above */
};

struct walk {
	dev_t device;
	struct err *err;
	int depth;
	struct level levels[REMOVE_TREE_DEPTH + 1];
};

static void note(struct walk *w, const char *name, int error)
{
	if (w->err->code == 0 && error != ENOENT)
		err_set(w->err, -error, "cannot remove %s: %s", name, strerror(error));
}

/* A link is not followed (O_NOFOLLOW), another file system is not entered. */
static int open_level(struct walk *w, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (fd < 0)
		return -errno;
	int rc = fstat(fd, &st) < 0                          ? -errno
		 : w->depth && st.st_dev != w->device        ? -EXDEV
		 : w->depth > REMOVE_TREE_DEPTH              ? -ELOOP
		 : (w->levels[w->depth].dir = fdopendir(fd)) ? 0
							     : -errno;
	if (rc < 0) {
		close(fd);
		return rc;
	}
	w->device = st.st_dev;
	snprintf(w->levels[w->depth].name, sizeof(w->levels[w->depth].name), "%s", name);
	w->depth++;
	return 0;
}

static void remove_entry(struct walk *w, const char *name)
{
	int fd = dirfd(w->levels[w->depth - 1].dir);
	if (unlinkat(fd, name, 0) == 0)
		return;
	int error = errno;
	int rc = error == EISDIR ? open_level(w, fd, name) : -error;
	if (rc < 0)
		note(w, name, -rc);
}

static void leave_level(struct walk *w)
{
	struct level *done = &w->levels[--w->depth];
	closedir(done->dir);
	if (w->depth && unlinkat(dirfd(w->levels[w->depth - 1].dir), done->name, AT_REMOVEDIR) < 0)
		note(w, done->name, errno);
}

static void walk(struct walk *w)
{
	while (w->depth) {
		errno = 0;
		struct dirent *entry = readdir(w->levels[w->depth - 1].dir);
		if (!entry)
			leave_level(w);
		else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			remove_entry(w, entry->d_name);
	}
}

int remove_tree_now(const char *path, struct err *err)
{
	struct err mine = {0};
	struct walk *w = calloc(1, sizeof(*w));
	if (!w)
		return err_set(err, -ENOMEM, "out of memory");
	w->err = &mine;
	int rc = open_level(w, AT_FDCWD, path);
	if (rc == 0)
		walk(w);
	free(w);
	if (rc == -ENOTDIR || rc == -ELOOP)
		rc = unlink(path) < 0 && errno != ENOENT ? -errno : 0;
	else if (rc == 0 && rmdir(path) < 0 && errno != ENOENT && !mine.code)
		rc = -errno;
	if (mine.code == 0 && rc < 0 && rc != -ENOENT)
		err_set(&mine, rc, "cannot remove %s: %s", path, strerror(-rc));
	if (mine.code && err)
		*err = mine;
	return mine.code;
}

/* ---- on the loop ---- */

struct remover {
	struct loop *loop;
	struct list waiting;
	struct removal *current;
	bool freed;
	uv_timer_t pause;
};

struct removal {
	struct list node;
	struct remover *owner;
	uv_work_t work;
	char *from, *trash; /* trash may be NULL */
	int tries;
	struct err failure;
	void (*done)(void *ctx, const struct err *failure);
	void *ctx;
};

static void removal_free(struct removal *m)
{
	free(m->from);
	free(m->trash);
	free(m);
}

static void on_remover_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void close_remover(struct remover *r)
{
	uv_close((uv_handle_t *)&r->pause, on_remover_closed);
}

static void work(uv_work_t *request)
{
	struct removal *m = request->data;
	m->failure = (struct err){0};
	const char *path = m->from;
	if (m->trash && (rename(m->from, m->trash) == 0 || errno == ENOENT))
		path = m->trash;
	int rc = remove_tree_now(path, &m->failure);
	(void)rc; /* it stands in failure */
}

static void begin_next(struct remover *r);
static void begin(struct removal *m);

static void on_pause_over(uv_timer_t *handle)
{
	begin(((struct remover *)handle->data)->current);
}

static void on_worked(uv_work_t *request, int status)
{
	(void)status;
	struct removal *m = request->data;
	struct remover *r = m->owner;
	if (r->freed) {
		removal_free(m);
		close_remover(r);
		return;
	}
	if (m->failure.code && ++m->tries < TRIES) {
		uv_timer_start(&r->pause, on_pause_over, (uint64_t)FIRST_PAUSE_MS << (m->tries - 1), 0);
		return;
	}
	r->current = NULL;
	m->done(m->ctx, &m->failure);
	removal_free(m);
	begin_next(r);
}

static void begin(struct removal *m)
{
	m->work.data = m;
	uv_queue_work(&m->owner->loop->uv, &m->work, work, on_worked);
}

static void begin_next(struct remover *r)
{
	if (r->current || r->freed || list_empty(&r->waiting))
		return;
	r->current = LIST_ENTRY(r->waiting.next, struct removal, node);
	list_remove(&r->current->node);
	begin(r->current);
}

int remover_new(struct remover **out, struct loop *loop, struct err *err)
{
	struct remover *r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(err, -ENOMEM, "out of memory");
	r->loop = loop;
	list_init(&r->waiting);
	uv_timer_init(&loop->uv, &r->pause);
	r->pause.data = r;
	*out = r;
	return 0;
}

void remover_free(struct remover *r)
{
	if (!r)
		return;
	LIST_EACH (at, &r->waiting)
		removal_free(LIST_ENTRY(at, struct removal, node));
	bool pausing = r->current && uv_is_active((uv_handle_t *)&r->pause);
	if (pausing)
		removal_free(r->current);
	r->freed = true;
	if (!r->current || pausing)
		close_remover(r);
}

int remover_start(struct remover *r, const char *from, const char *trash,
	void (*done)(void *ctx, const struct err *failure), void *ctx)
{
	struct removal *m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->owner = r;
	m->done = done;
	m->ctx = ctx;
	m->from = strdup(from);
	m->trash = trash ? strdup(trash) : NULL;
	if (!m->from || (trash && !m->trash)) {
		removal_free(m);
		return -ENOMEM;
	}
	list_append(&r->waiting, &m->node);
	begin_next(r);
	return 0;
}
