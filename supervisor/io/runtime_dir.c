#include "podvisor/io/runtime_dir.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int runtime_dir_candidate(int i, const char *configured, char *out, size_t size)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	int n = -1;
	switch (i) {
	case 0:
		n = snprintf(out, size, "%s", configured);
		break;
	case 1:
		n = runtime && runtime[0] == '/' ? snprintf(out, size, "%s/podvisor/control.sock", runtime) : 0;
		break;
	case 2:
		n = snprintf(out, size, "/dev/shm/podvisor-%u/control.sock", getuid());
		break;
	case 3:
		n = snprintf(out, size, "/tmp/podvisor-%u/control.sock", getuid());
		break;
	default:
		break;
	}
	return n > 0 && (size_t)n < size ? 0 : -ENOENT;
}

/* A directory in a place that everybody may write to must be ours alone, or
 * somebody else could put a socket of his own there. */
static bool is_usable(const char *dir, bool shared_place)
{
	struct stat st;
	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return false;
	if (lstat(dir, &st) < 0 || !S_ISDIR(st.st_mode) || access(dir, W_OK | X_OK) < 0)
		return false;
	return !shared_place || (st.st_uid == getuid() && (st.st_mode & 022) == 0);
}

int runtime_dir_choose(const char *configured, char *out, size_t size, struct err *err)
{
	for (int i = 0; i < RUNTIME_DIR_CANDIDATES; i++) {
		char path[108]; /* sun_path is no longer than this */
		if (runtime_dir_candidate(i, configured, path, sizeof(path)) < 0)
			continue;
		char *slash = strrchr(path, '/');
		if (!slash || slash == path)
			continue;
		*slash = '\0';
		bool usable = is_usable(path, i > 0);
		*slash = '/';
		if (usable) {
			snprintf(out, size, "%s", path);
			return 0;
		}
	}
	return err_set(err, -EACCES,
		"control.socket: no directory for it can be written: %s, $XDG_RUNTIME_DIR, /dev/shm, /tmp (an emptyDir "
		"at one of them is enough)",
		configured);
}

bool runtime_dir_restore(const char *socket_path, const char *configured)
{
	char dir[108];
	const char *slash = strrchr(socket_path, '/');
	if (!slash || slash == socket_path || (size_t)(slash - socket_path) >= sizeof(dir))
		return slash == socket_path;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - socket_path), socket_path);
	return is_usable(dir, strcmp(socket_path, configured) != 0);
}

bool runtime_dir_is_safe(const char *socket_path)
{
	char dir[108];
	struct stat st;
	const char *slash = strrchr(socket_path, '/');
	if (!slash || (size_t)(slash - socket_path) >= sizeof(dir))
		return false;
	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - socket_path), socket_path);
	if (lstat(dir, &st) < 0)
		return true; /* connect(2) will say why */
	return S_ISDIR(st.st_mode) && (st.st_uid == getuid() || st.st_uid == 0) && (st.st_mode & 022) == 0;
}
