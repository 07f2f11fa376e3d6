#include "podvisor/io/open_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct reading {
	struct open_files *o;
	dev_t device;
	int error; /* negative errno: the picture is not whole */
};

static void add(struct reading *r, ino_t inode)
{
	struct open_files *o = r->o;
	if (o->n && o->inodes[o->n - 1] == inode)
		return;
	if (o->n == OPEN_FILES_MAX) {
		r->error = -EMFILE;
		return;
	}
	if (o->n == o->cap) {
		size_t cap = o->cap ? o->cap * 2 : 256;
		ino_t *more = realloc(o->inodes, cap * sizeof(*more));
		if (!more) {
			r->error = -ENOMEM;
			return;
		}
		o->inodes = more;
		o->cap = cap;
	}
	o->inodes[o->n++] = inode;
}

/* Through the link, to the file itself, whatever its name is by now. */
static void add_link(struct reading *r, int dir, const char *name)
{
	struct stat st;
	if (fstatat(dir, name, &st, 0) == 0 && st.st_dev == r->device)
		add(r, st.st_ino);
}

/* False: podvisor may not look. */
static bool read_descriptors(struct reading *r, const char *pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	DIR *dir = opendir(path);
	if (!dir)
		return errno != EACCES && errno != EPERM;
	for (struct dirent *d; (d = readdir(dir));)
		if (d->d_name[0] != '.')
			add_link(r, dirfd(dir), d->d_name);
	closedir(dir);
	return true;
}

/* "7f00-7f10 r--s 00000000 00:2a 12345   /path" */
static void read_maps(struct reading *r, const char *pid)
{
	char path[64], *line = NULL;
	size_t size = 0;
	snprintf(path, sizeof(path), "/proc/%.20s/maps", pid);
	FILE *maps = fopen(path, "re");
	while (maps && getline(&line, &size, maps) > 0) {
		unsigned major, minor;
		unsigned long inode;
		struct stat st;
		const char *name = strchr(line, '/');
		if (!name || sscanf(line, "%*s %*s %*s %x:%x %lu", &major, &minor, &inode) != 3 || !inode)
			continue;
		if (makedev(major, minor) == r->device)
			add(r, inode);
		line[strcspn(line, "\n")] = '\0';
		/* Some file systems (overlayfs) tell of another device here than stat does. */
		if (makedev(major, minor) != r->device && stat(name, &st) == 0 && st.st_dev == r->device)
			add(r, st.st_ino);
	}
	free(line);
	if (maps)
		fclose(maps);
}

static void read_process(struct reading *r, const char *pid)
{
	static const char *const places[] = {"cwd", "root", "exe"};
	char path[64];
	if (!read_descriptors(r, pid)) {
		r->o->unseen++;
		return;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct stat st;
		snprintf(path, sizeof(path), "/proc/%.20s/%s", pid, places[i]);
		if (stat(path, &st) == 0 && st.st_dev == r->device)
			add(r, st.st_ino);
	}
	read_maps(r, pid);
}

static int by_inode(const void *a, const void *b)
{
	const ino_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

int open_files_read(struct open_files *out, dev_t device, struct err *err)
{
	struct open_files found = {0};
	struct reading r = {.o = &found, .device = device};
	DIR *dir = opendir("/proc");
	if (!dir)
		return err_set(err, -errno, "/proc: %s", strerror(errno));
	for (struct dirent *d; !r.error && (d = readdir(dir));)
		if (d->d_name[0] >= '1' && d->d_name[0] <= '9')
			read_process(&r, d->d_name);
	closedir(dir);
	if (r.error) {
		open_files_fini(&found);
		return err_set(err, r.error, "what is open cannot be told: %s",
			r.error == -EMFILE ? "there are too many open files" : strerror(-r.error));
	}
	if (found.n)
		qsort(found.inodes, found.n, sizeof(*found.inodes), by_inode);
	*out = found;
	return 0;
}

void open_files_fini(struct open_files *o)
{
	free(o->inodes);
	*o = (struct open_files){0};
}

bool open_files_has(const struct open_files *o, ino_t inode)
{
	return o->n && bsearch(&inode, o->inodes, o->n, sizeof(*o->inodes), by_inode);
}
