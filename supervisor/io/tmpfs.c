#include "podvisor/io/tmpfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "podvisor/io/account.h"

/* Deeper trees are left alone: each level holds a descriptor while it is walked. */
#define DEPTH_MAX 200
/* What the mount table shows as the device. */
#define SOURCE   "podvisor"
#define KEEP_MAX 8

/* ---- looking ---- */

static int look_above(const char *path, struct stat *above)
{
	int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	int rc = fstatat(dir, "..", above, 0) < 0 ? -errno : 0;
	close(dir);
	return rc;
}

int tmpfs_look(const char *path, struct tmpfs_facts *out, struct err *err)
{
	struct stat st, above = {0};
	struct statfs fs;
	if (stat(path, &st) < 0 || statfs(path, &fs) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "%s is not a directory", path);
	int rc = look_above(path, &above);
	if (rc < 0)
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	int64_t block = (int64_t)fs.f_bsize;
	*out = (struct tmpfs_facts){
		.is_tmpfs = fs.f_type == TMPFS_MAGIC,
		.own_mount = st.st_dev != above.st_dev || st.st_ino == above.st_ino,
		.size_bytes = (int64_t)fs.f_blocks * block,
		.used_bytes = (int64_t)(fs.f_blocks - fs.f_bfree) * block,
		.size_inodes = (int64_t)fs.f_files,
		.used_inodes = (int64_t)(fs.f_files - fs.f_ffree),
		.mode = st.st_mode & 07777,
	};
	return 0;
}

/* ---- mounting ---- */

int tmpfs_make_directory(const char *path, mode_t mode, struct err *err)
{
	char part[PATH_MAX];
	size_t len = strlen(path);
	if (len >= sizeof(part))
		return err_set(err, -ENAMETOOLONG, "%.80s...: the path is too long", path);
	memcpy(part, path, len + 1);
	for (char *at = part + 1; at < part + len; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_set(err, -errno, "cannot make %s: %s", part, strerror(errno));
		*at = '/';
	}
	if (mkdir(path, mode & 07777) == 0)
		return 1;
	return errno == EEXIST ? 0 : err_set(err, -errno, "cannot make %s: %s", path, strerror(errno));
}

int tmpfs_mount(const char *path, int64_t size_bytes, mode_t mode, struct err *err)
{
	char options[64];
	snprintf(options, sizeof(options), "size=%lld,mode=%o", (long long)size_bytes, (unsigned)mode & 07777);
	if (mount(SOURCE, path, "tmpfs", MS_NOSUID | MS_NODEV, options) == 0)
		return 0;
	if (errno == EPERM || errno == EACCES)
		return err_set(err, -EPERM, "cannot mount a tmpfs on %s without CAP_SYS_ADMIN", path);
	return err_set(err, -errno, "cannot mount a tmpfs on %s: %s", path, strerror(errno));
}

int tmpfs_resize(const char *path, int64_t size_bytes, struct err *err)
{
	char options[64];
	snprintf(options, sizeof(options), "size=%lld", (long long)size_bytes);
	if (mount(SOURCE, path, "tmpfs", MS_REMOUNT | MS_NOSUID | MS_NODEV, options) < 0)
		return err_set(err, -errno, "the tmpfs on %s cannot be resized: %s", path, strerror(errno));
	return 0;
}

/* proc_pid_mountinfo(5): the fifth field is where, and behind " - " come type and source. */
static bool is_line_of(const char *line, const char *real)
{
	char where[PATH_MAX];
	const char *behind = strstr(line, " - ");
	return behind && strncmp(behind + 3, "tmpfs " SOURCE " ", sizeof("tmpfs " SOURCE " ") - 1) == 0 &&
	       sscanf(line, "%*s %*s %*s %*s %4095s", where) == 1 && strcmp(where, real) == 0;
}

bool tmpfs_is_ours(const char *path)
{
	char real[PATH_MAX], line[PATH_MAX + 1024];
	FILE *table = fopen("/proc/self/mountinfo", "re");
	bool ours = false;
	while (table && realpath(path, real) && !ours && fgets(line, sizeof(line), table))
		ours = is_line_of(line, real);
	if (table)
		fclose(table);
	return ours;
}

int tmpfs_unmount(const char *path, bool *lazily, struct err *err)
{
	bool busy = false;
	int rc = umount2(path, UMOUNT_NOFOLLOW);
	if (rc < 0 && errno == EBUSY) {
		busy = true;
		rc = umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH);
	}
	if (rc < 0)
		return err_set(err, -errno, "cannot unmount %s: %s", path, strerror(errno));
	*lazily = busy;
	return 0;
}

/* ---- owner and mode ---- */

/* -1 for a half that is not given. */
static int find_owner(const char *owner, uid_t *uid, gid_t *gid, struct err *err)
{
	char user[128];
	struct account account;
	const char *colon = strchr(owner, ':');
	size_t n = colon ? (size_t)(colon - owner) : strlen(owner);
	if (n >= sizeof(user))
		return err_set(err, -EINVAL, "owner %.40s... is too long", owner);
	memcpy(user, owner, n);
	user[n] = '\0';
	int rc = account_find(n ? user : NULL, colon && colon[1] ? colon + 1 : NULL, &account, err);
	if (rc < 0)
		return rc;
	*uid = n ? account.uid : (uid_t)-1;
	*gid = colon && colon[1] ? account.gid : (gid_t)-1;
	return 0;
}

int tmpfs_own(const char *path, mode_t mode, const char *owner, struct err *err)
{
	struct stat st;
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	if (stat(path, &st) < 0)
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	int rc = owner && owner[0] ? find_owner(owner, &uid, &gid, err) : 0;
	if (rc < 0)
		return rc;
	bool other = (uid != (uid_t)-1 && uid != st.st_uid) || (gid != (gid_t)-1 && gid != st.st_gid);
	if (other && chown(path, uid, gid) < 0)
		return err_set(err, -errno, "it cannot be given to %s: %s", owner, strerror(errno));
	/* After chown(2), which may clear bits. */
	if ((other || (st.st_mode & 07777) != (mode & 07777)) && chmod(path, mode & 07777) < 0)
		return err_set(err, -errno, "its mode stays %o: %s", st.st_mode & 07777, strerror(errno));
	return 0;
}

/* ---- walking ---- */

/* One walk. It goes through descriptors, so that nobody can lead it elsewhere by
 * swapping a directory for a symbolic link. */
struct walk {
	dev_t device;
	struct stat keep[KEEP_MAX];
	size_t n_keep;
	int64_t bytes, inodes; /* counted */
	struct tmpfs_emptied *emptied; /* NULL: only count */
	const atomic_bool *cancel; /* NULL: to the end */
};

static bool is_cancelled(const struct walk *w)
{
	return w->cancel && atomic_load(w->cancel);
}

/* Returns whether something below had to stay. */
static bool walk_directory(struct walk *w, int dir, int depth);

static void note_failure(struct walk *w, const char *name)
{
	if (w->emptied->failed++ == 0)
		snprintf(w->emptied->text, sizeof(w->emptied->text), "%.60s: %s", name, strerror(errno));
}

static bool is_kept(const struct walk *w, const struct stat *st)
{
	for (size_t i = 0; i < w->n_keep; i++)
		if (w->keep[i].st_dev == st->st_dev && w->keep[i].st_ino == st->st_ino)
			return true;
	return false;
}

static bool remove_entry(struct walk *w, int dir, const char *name, bool is_directory)
{
	if (unlinkat(dir, name, is_directory ? AT_REMOVEDIR : 0) == 0) {
		w->emptied->removed++;
		return false;
	}
	if (errno == ENOENT)
		return false;
	note_failure(w, name);
	return true;
}

static bool walk_entry(struct walk *w, int dir, const char *name, int depth)
{
	struct stat st;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return false;
	if (st.st_dev != w->device || is_kept(w, &st))
		return true;
	w->inodes++;
	w->bytes += (int64_t)st.st_blocks * 512;
	bool is_directory = S_ISDIR(st.st_mode);
	if (is_directory) {
		int child = depth < DEPTH_MAX ? openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		if (child >= 0 && walk_directory(w, child, depth + 1))
			return true;
	}
	return w->emptied ? remove_entry(w, dir, name, is_directory) : false;
}

static bool walk_directory(struct walk *w, int dir, int depth)
{
	bool stays = false;
	DIR *stream = fdopendir(dir);
	if (!stream) {
		close(dir);
		return false;
	}
	for (struct dirent *entry; !is_cancelled(w) && (entry = readdir(stream));)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			walk_entry(w, dirfd(stream), entry->d_name, depth))
			stays = true;
	closedir(stream);
	return stays || is_cancelled(w);
}

static int begin_walk(struct walk *w, const char *path, struct err *err)
{
	struct stat st;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || fstat(dir, &st) < 0) {
		int rc = -errno;
		if (dir >= 0)
			close(dir);
		return err_set(err, rc, "%s: %s", path, strerror(-rc));
	}
	w->device = st.st_dev;
	walk_directory(w, dir, 0);
	return 0;
}

int tmpfs_count(const char *path, const atomic_bool *cancel, int64_t *bytes, int64_t *inodes, struct err *err)
{
	struct walk w = {.cancel = cancel};
	int rc = begin_walk(&w, path, err);
	if (rc < 0)
		return rc;
	*bytes = w.bytes;
	*inodes = w.inodes;
	return 0;
}

static bool belongs_to_the_system(const char *real)
{
	static const char *const names[] = {"/", "/bin", "/boot", "/dev", "/dev/shm", "/etc", "/home", "/lib", "/lib32",
		"/lib64", "/media", "/mnt", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/usr",
		"/usr/bin", "/usr/lib", "/usr/local", "/usr/share", "/var", "/var/cache", "/var/lib", "/var/log",
		"/var/run"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(real, names[i]) == 0)
			return true;
	return strncmp(real, "/home/", 6) == 0 && !strchr(real + 6, '/');
}

/* Everybody's /tmp on a disk is not a RAM disk that may start empty. */
static bool belongs_to_everybody(const char *real)
{
	struct tmpfs_facts facts = {0};
	if (strcmp(real, "/tmp") != 0 && strcmp(real, "/var/tmp") != 0)
		return false;
	return tmpfs_look(real, &facts, NULL) < 0 || !facts.is_tmpfs || !facts.own_mount;
}

int tmpfs_check_emptiable(const char *path, struct err *err)
{
	char real[PATH_MAX];
	if (!realpath(path, real))
		return err_set(err, -errno, "%s: %s", path, strerror(errno));
	if (belongs_to_the_system(real) || belongs_to_everybody(real))
		return err_set(err, -EPERM, "%s is a directory of the system and will not be emptied", real);
	return 0;
}

int tmpfs_empty(const char *path, const char *const *keep, const atomic_bool *cancel, struct tmpfs_emptied *out,
	struct err *err)
{
	struct walk w = {.emptied = out, .cancel = cancel};
	int rc = tmpfs_check_emptiable(path, err);
	if (rc < 0)
		return rc;
	*out = (struct tmpfs_emptied){0};
	for (; keep && *keep && w.n_keep < KEEP_MAX; keep++)
		if (lstat(*keep, &w.keep[w.n_keep]) == 0)
			w.n_keep++;
	return begin_walk(&w, path, err);
}
