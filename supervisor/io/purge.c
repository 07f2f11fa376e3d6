#include "podvisor/io/purge.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "podvisor/base/glob.h"
#include "podvisor/io/open_files.h"

#define KEEP_MAX      8
#define LOOK_AT_CLOCK 64 /* steps */

struct candidate {
	int64_t newest_ns;
	ino_t inode;
	char *path; /* owned; relative */
};

/* One directory that is being walked. */
struct level {
	DIR *dir;
	ino_t inode;
	int64_t newest_ns;
	size_t length; /* of its path */
	bool empty; /* nothing in it, so far */
};

enum phase { PHASE_LOOK, PHASE_WALK, PHASE_DELETE, PHASE_DONE };

struct purge {
	char *path, **globs, **guarded; /* owned */
	ms_t min_age, directory_age;
	int64_t bytes, inodes; /* still to become free */
	int root;
	dev_t device;
	struct stat keep[KEEP_MAX];
	size_t n_keep;
	enum phase phase;
	struct open_files open;
	int64_t young_ns, young_directory_ns; /* from then on it is too young */
	struct level levels[PURGE_DEPTH + 1];
	int depth;
	char where[PATH_MAX]; /* what is looked at, relative */
	struct candidate *candidates; /* of this walk: a heap, the newest first; then sorted, the oldest first */
	size_t max, n, names, next;
	bool dropped; /* there were more */
	int64_t deleted; /* since the walk */
	struct purge_report report;
};

static int64_t ns_of(struct timespec ts)
{
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t newest_of(const struct stat *st)
{
	return later(ns_of(st->st_mtim), later(ns_of(st->st_atim), ns_of(st->st_ctim)));
}

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return ns_of(ts);
}

static void note_failure(struct purge *p, const char *name, int error)
{
	p->report.failed++;
	if (!p->report.text[0])
		snprintf(p->report.text, sizeof(p->report.text), "%.60s: %s", name, strerror(error));
}

/* ---- what may go ---- */

/* Its directory of the guarded ones; its length, or 0. */
static size_t guard_length(const struct purge *p)
{
	for (char **at = p->guarded; at && *at; at++) {
		size_t n = strlen(*at);
		if (strncmp(p->where, *at, n) == 0 && p->where[n] == '/')
			return n;
	}
	return 0;
}

/* The same path, with names below the guarded directory that nobody could have written. */
static void mask_names(const char *path, size_t from, char *out)
{
	size_t n = from;
	memcpy(out, path, from);
	for (const char *at = path + from; *at; at++) {
		if (*at == '/')
			out[n++] = '/';
		else if (out[n - 1] == '/')
			out[n++] = '\1';
	}
	out[n] = '\0';
}

static bool is_wanted(const struct purge *p)
{
	char masked[PATH_MAX] = "";
	size_t guarded = guard_length(p);
	if (guarded)
		mask_names(p->where, guarded, masked);
	for (char **glob = p->globs; glob && *glob; glob++)
		if (glob_matches(*glob, p->where) && !(guarded && glob_matches(*glob, masked)))
			return true;
	return false;
}

static bool is_kept(const struct purge *p, const struct stat *st)
{
	for (size_t i = 0; i < p->n_keep; i++)
		if (p->keep[i].st_dev == st->st_dev && p->keep[i].st_ino == st->st_ino)
			return true;
	return false;
}

/* ---- the oldest so far ---- */

static void swap(struct candidate *a, struct candidate *b)
{
	struct candidate c = *a;
	*a = *b;
	*b = c;
}

static void sink_top(struct purge *p)
{
	struct candidate *all = p->candidates;
	for (size_t at = 0, child; (child = 2 * at + 1) < p->n; at = child) {
		if (child + 1 < p->n && all[child + 1].newest_ns > all[child].newest_ns)
			child++;
		if (all[at].newest_ns >= all[child].newest_ns)
			return;
		swap(&all[at], &all[child]);
	}
}

static void drop_newest(struct purge *p)
{
	struct candidate *all = p->candidates;
	p->dropped = true;
	p->names -= strlen(all[0].path) + 1;
	free(all[0].path);
	all[0] = all[--p->n];
	sink_top(p);
}

static void push(struct purge *p, struct candidate c)
{
	struct candidate *all = p->candidates;
	size_t at = p->n++;
	all[at] = c;
	p->names += strlen(c.path) + 1;
	for (; at && all[(at - 1) / 2].newest_ns < all[at].newest_ns; at = (at - 1) / 2)
		swap(&all[at], &all[(at - 1) / 2]);
}

static void offer(struct purge *p, const struct stat *st)
{
	struct candidate c = {.newest_ns = newest_of(st), .inode = st->st_ino};
	bool full = p->n == p->max || p->names > PURGE_NAMES;
	if (full && c.newest_ns >= p->candidates[0].newest_ns) {
		p->dropped = true;
		return;
	}
	if (full)
		drop_newest(p);
	c.path = strdup(p->where);
	if (c.path)
		push(p, c);
	else
		p->dropped = true;
}

/* Of one tick of the clock that files get their times from: inodes are given out in order, on a tmpfs at least. */
static int oldest_first(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	if (x->newest_ns != y->newest_ns)
		return x->newest_ns < y->newest_ns ? -1 : 1;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void forget_candidates(struct purge *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->candidates[i].path);
	p->n = p->names = p->next = 0;
	p->dropped = false;
}

/* ---- walking ---- */

/* False: the path would be too long. */
static bool go_to(struct purge *p, const char *name)
{
	const struct level *here = &p->levels[p->depth - 1];
	size_t n = strlen(name), at = here->length;
	if (at + n + 2 > sizeof(p->where))
		return false;
	if (at)
		p->where[at++] = '/';
	memcpy(p->where + at, name, n + 1);
	return true;
}

static void look_at_file(struct purge *p, const struct stat *st)
{
	if (!is_wanted(p))
		return;
	if (newest_of(st) >= p->young_ns)
		p->report.young++;
	else if (open_files_has(&p->open, st->st_ino))
		p->report.open++;
	else
		offer(p, st);
}

/* Takes fd. False: it is left alone. */
static bool enter(struct purge *p, int fd)
{
	struct stat st;
	DIR *dir = NULL;
	bool fits = fstat(fd, &st) == 0 && st.st_dev == p->device && p->depth <= PURGE_DEPTH &&
		    (p->depth == 0 || !is_kept(p, &st));
	if (fits)
		dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return false;
	}
	p->levels[p->depth++] = (struct level){.dir = dir,
		.inode = st.st_ino,
		.newest_ns = later(ns_of(st.st_mtim), ns_of(st.st_ctim)), /* looking changes the third */
		.length = strlen(p->where),
		.empty = true};
	return true;
}

static bool look_at_directory(struct purge *p, int parent, const char *name)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 && enter(p, fd);
}

static void look_at(struct purge *p, const struct dirent *entry)
{
	struct level *here = &p->levels[p->depth - 1];
	struct stat st;
	int parent = dirfd(here->dir);
	bool may_be = entry->d_type == DT_REG || entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN;
	if (may_be && go_to(p, entry->d_name) && fstatat(parent, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		if (S_ISDIR(st.st_mode) && look_at_directory(p, parent, entry->d_name))
			return;
		if (S_ISREG(st.st_mode) && st.st_dev == p->device && !is_kept(p, &st))
			look_at_file(p, &st);
	}
	here->empty = false;
}

static void count_freed(struct purge *p, int64_t bytes)
{
	p->report.bytes += bytes;
	p->bytes -= bytes;
	p->inodes--;
	p->deleted++;
}

static bool remove_if_empty(struct purge *p, const struct level *left, const char *name)
{
	bool may_go = left->empty && left->newest_ns < p->young_directory_ns && is_wanted(p) &&
		      !open_files_has(&p->open, left->inode);
	if (!may_go || unlinkat(dirfd(p->levels[p->depth - 1].dir), name, AT_REMOVEDIR) < 0)
		return false;
	p->report.directories++;
	count_freed(p, 0);
	return true;
}

static void leave(struct purge *p)
{
	struct level left = p->levels[--p->depth];
	closedir(left.dir);
	if (!p->depth)
		return;
	struct level *above = &p->levels[p->depth - 1];
	p->where[left.length] = '\0';
	if (!remove_if_empty(p, &left, p->where + above->length + (above->length > 0)))
		above->empty = false;
}

static void walk_one(struct purge *p)
{
	struct dirent *entry = readdir(p->levels[p->depth - 1].dir);
	if (!entry)
		leave(p);
	else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
		look_at(p, entry);
	if (p->depth)
		return;
	qsort(p->candidates, p->n, sizeof(*p->candidates), oldest_first);
	p->phase = PHASE_DELETE;
}

/* ---- deleting ---- */

/* The directory of a file that lies below the root; *name is what it is called there. */
static int open_parent(const struct purge *p, const char *path, const char **name)
{
	char part[NAME_MAX + 1];
	struct stat st;
	int dir = openat(p->root, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (size_t n; dir >= 0 && path[n = strcspn(path, "/")]; path += n + 1) {
		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		int next = openat(dir, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		close(dir);
		dir = next;
	}
	if (dir >= 0 && (fstat(dir, &st) < 0 || st.st_dev != p->device)) {
		close(dir);
		return -1;
	}
	*name = path;
	return dir;
}

/* While it is held nobody can open the file. -1: there is none to be had; -EAGAIN: somebody has the file open. Whoever
 * wants it meanwhile lets the kernel tell us, by a signal that means nothing and to this thread alone. */
static int take_lease(int dir, const char *name)
{
	struct f_owner_ex me = {F_OWNER_TID, gettid()};
	int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : -1;
	bool quiet = fcntl(fd, F_SETOWN_EX, &me) == 0 && fcntl(fd, F_SETSIG, SIGURG) == 0;
	if (quiet && fcntl(fd, F_SETLEASE, F_WRLCK) == 0)
		return fd;
	int rc = quiet && errno == EAGAIN ? -EAGAIN : -1;
	close(fd);
	return rc;
}

static void unlink_one(struct purge *p, int dir, const char *name, const struct stat *st)
{
	int lease = open_files_has(&p->open, st->st_ino) ? -EAGAIN : take_lease(dir, name);
	if (lease == -EAGAIN) {
		p->report.open++;
		return;
	}
	if (unlinkat(dir, name, 0) == 0) {
		p->report.files++;
		count_freed(p, st->st_nlink == 1 ? (int64_t)st->st_blocks * 512 : 0);
	} else if (errno != ENOENT) {
		note_failure(p, name, errno);
	}
	if (lease >= 0)
		close(lease);
}

/* What was touched since it was found is not what was found. */
static void delete_one(struct purge *p, const struct candidate *c)
{
	const char *name;
	struct stat st;
	int dir = open_parent(p, c->path, &name);
	if (dir < 0)
		return;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_ino == c->inode &&
		newest_of(&st) == c->newest_ns)
		unlink_one(p, dir, name, &st);
	close(dir);
}

static bool is_enough(const struct purge *p)
{
	return p->bytes <= 0 && p->inodes <= 0;
}

static void delete_next(struct purge *p)
{
	if (!is_enough(p) && p->next < p->n) {
		delete_one(p, &p->candidates[p->next++]);
		return;
	}
	/* A walk that got nowhere would only be repeated. */
	bool again = !is_enough(p) && p->dropped && p->deleted;
	forget_candidates(p);
	p->phase = again ? PHASE_LOOK : PHASE_DONE;
}

/* ---- slices ---- */

static int look_around(struct purge *p, struct err *err)
{
	open_files_fini(&p->open);
	int rc = open_files_read(&p->open, p->device, err);
	p->report.unseen = p->open.unseen;
	return rc;
}

static int begin_walk(struct purge *p, struct err *err)
{
	int64_t now = clock_ns(CLOCK_REALTIME);
	int rc = look_around(p, err);
	int fd = rc < 0 ? -1 : openat(p->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rc < 0)
		return rc;
	p->where[0] = '\0';
	p->deleted = 0;
	p->report.open = p->report.young = p->report.failed = 0;
	p->young_ns = p->min_age ? now - p->min_age * 1000000 : INT64_MAX;
	p->young_directory_ns = now - p->directory_age * 1000000;
	if (fd < 0 || !enter(p, fd))
		return err_set(err, -EIO, "%s cannot be walked", p->path);
	p->phase = PHASE_WALK;
	return 0;
}

static void advance(struct purge *p)
{
	if (p->phase == PHASE_WALK)
		walk_one(p);
	else
		delete_next(p);
}

int purge_step(struct purge *p, ms_t budget, struct err *err)
{
	int64_t until = clock_ns(CLOCK_MONOTONIC) + budget * 1000000;
	int rc = p->phase == PHASE_DELETE ? look_around(p, err) : 0;
	if (rc == 0 && p->phase == PHASE_LOOK)
		rc = begin_walk(p, err);
	if (rc < 0)
		return rc;
	for (unsigned i = 1; p->phase == PHASE_WALK || p->phase == PHASE_DELETE; i++) {
		enum phase before = p->phase;
		advance(p);
		/* Time has passed since the picture was taken of what is open. */
		if (p->phase == PHASE_DELETE && before == PHASE_WALK)
			return 1;
		if (i % LOOK_AT_CLOCK == 0 && clock_ns(CLOCK_MONOTONIC) >= until)
			return 1;
	}
	return p->phase != PHASE_DONE;
}

const struct purge_report *purge_report(const struct purge *p)
{
	return &p->report;
}

/* ---- birth and death ---- */

static size_t count(const char *const *list)
{
	size_t n = 0;
	while (list && list[n])
		n++;
	return n;
}

static char **copy_list(const char *const *list)
{
	size_t n = count(list);
	char **copy = calloc(n + 1, sizeof(*copy));
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(list[i]);
		if (copy[i])
			continue;
		while (i)
			free(copy[--i]);
		free(copy);
		return NULL;
	}
	return copy;
}

static void free_list(char **list)
{
	for (size_t i = 0; list && list[i]; i++)
		free(list[i]);
	free(list);
}

static int open_root(struct purge *p, const char *path, struct err *err)
{
	struct stat st;
	p->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->root < 0 || fstat(p->root, &st) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	p->device = st.st_dev;
	return 0;
}

int purge_new(struct purge **out, const struct purge_order *order, struct err *err)
{
	struct purge *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->root = -1;
	p->min_age = order->min_age;
	p->directory_age = order->directory_age;
	p->bytes = order->bytes;
	p->inodes = order->inodes;
	p->path = strdup(order->path);
	p->globs = copy_list(order->globs);
	p->guarded = copy_list(order->guarded);
	p->max = order->remember ? order->remember : PURGE_REMEMBER;
	p->candidates = calloc(p->max, sizeof(*p->candidates));
	bool whole = p->path && p->globs && p->guarded && p->candidates;
	int rc = whole ? open_root(p, order->path, err) : err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < count(order->keep) && p->n_keep < KEEP_MAX; i++)
		if (lstat(order->keep[i], &p->keep[p->n_keep]) == 0)
			p->n_keep++;
	if (rc < 0) {
		purge_free(p);
		return rc;
	}
	*out = p;
	return 0;
}

void purge_free(struct purge *p)
{
	if (!p)
		return;
	while (p->depth)
		closedir(p->levels[--p->depth].dir);
	if (p->candidates)
		forget_candidates(p);
	open_files_fini(&p->open);
	if (p->root >= 0)
		close(p->root);
	free(p->candidates);
	free_list(p->globs);
	free_list(p->guarded);
	free(p->path);
	free(p);
}
