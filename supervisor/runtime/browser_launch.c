#include "podvisor/runtime/browser_launch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "podvisor/io/file.h"
#include "podvisor/io/remove_tree.h"

#define ARGS_MAX 512
/* Chromium makes this in TMPDIR, and aborts when its path does not fit into a socket's address. The headless shell has
 * none. */
#define SINGLETON_SOCKET "/org.chromium.Chromium.XXXXXX/SingletonSocket"
#define SOCKET_PATH_MAX  107

/* Distributions put a shell script in front of Chrome that adds flags of its own;
 * the program behind it is run instead. */
static const struct {
	const char *wrapper, *program;
} wrappers[] = {
	{"/usr/bin/chromium", "/usr/lib/chromium/chromium"},
	{"/usr/bin/chromium-headless-shell", "/usr/lib/chromium/chromium-headless-shell"},
	{"/usr/bin/google-chrome", "/opt/google/chrome/chrome"},
	{"/usr/bin/google-chrome-stable", "/opt/google/chrome/chrome"},
};

/* Best first: the headless shell needs half the memory. */
static const char *const known[] = {"chromium-headless-shell", "chrome-headless-shell", "chromium", "google-chrome",
	"google-chrome-stable", "chrome"};

/* Reasons: research in the book's page on browsers. */
static const char *const safe_flags[] = {
	/* no side work */
	"--no-first-run",
	"--no-default-browser-check",
	"--disable-default-apps",
	"--disable-extensions",
	/* nothing goes out, less is written */
	"--disable-background-networking",
	"--disable-component-update",
	"--disable-sync",
	"--disable-domain-reliability",
	"--metrics-recording-only",
	"--disable-breakpad",
	"--disable-crash-reporter",
	/* a pod without GPU, sound and keyring */
	"--disable-gpu",
	"--disable-quic",
	"--mute-audio",
	"--password-store=basic",
	"--disable-hang-monitor",
	"--disable-prompt-on-repost",
	/* without it the cache takes what the disk has */
	"--disk-cache-size=134217728",
};

/* Of podvisor's environment; the rest may be secrets, and pages run in there. */
static const char *const inherited[] = {"PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH",
	"FONTCONFIG_PATH", "FONTCONFIG_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR", "http_proxy", "https_proxy", "no_proxy",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- which program ---- */

static bool is_script(const char *path)
{
	char head[3];
	return file_read_small(path, head, sizeof(head)) == 2 && head[0] == '#' && head[1] == '!';
}

static void step_behind_wrapper(char *path, size_t size)
{
	for (size_t i = 0; i < COUNT(wrappers); i++)
		if (!strcmp(path, wrappers[i].wrapper) && is_script(path) && access(wrappers[i].program, X_OK) == 0) {
			snprintf(path, size, "%s", wrappers[i].program);
			return;
		}
}

static bool find_in_path(const char *name, char *out, size_t size)
{
	const char *path = getenv("PATH");
	for (const char *at = path ? path : "/usr/local/bin:/usr/bin:/bin"; *at;) {
		size_t n = strcspn(at, ":");
		int len = snprintf(out, size, "%.*s/%s", (int)n, at, name);
		if (n && len > 0 && (size_t)len < size && access(out, X_OK) == 0)
			return true;
		at += n + (at[n] == ':');
	}
	return false;
}

static int find_known(char *out, size_t size, struct err *err)
{
	for (size_t i = 0; i < COUNT(known); i++)
		if (find_in_path(known[i], out, size))
			return 0;
	return err_set(err, -ENOENT, "no Chrome found: neither chromium-headless-shell nor chromium is installed");
}

static int find_configured(const char *name, char *out, size_t size, struct err *err)
{
	struct stat st;
	if (!strchr(name, '/')) {
		if (find_in_path(name, out, size))
			return 0;
		return err_set(err, -ENOENT, "executable %s is not in PATH", name);
	}
	if (stat(name, &st) < 0)
		return err_set(err, -ENOENT, "executable %s: %s", name, strerror(errno));
	if (!S_ISREG(st.st_mode) || access(name, X_OK) < 0)
		return err_set(err, -EACCES, "executable %s is not an executable file", name);
	snprintf(out, size, "%s", name);
	return 0;
}

static int find_executable(const char *configured, char *out, size_t size, struct err *err)
{
	int rc = configured ? find_configured(configured, out, size, err) : find_known(out, size, err);
	if (rc == 0)
		step_behind_wrapper(out, size);
	return rc;
}

/* ---- with a sandbox or without ---- */

/* The first number in a file of /proc/sys; other when there is none. */
static int read_setting(const char *path, int other)
{
	char text[32];
	return file_read_small(path, text, sizeof(text)) > 0 ? atoi(text) : other;
}

static const char *why_unsandboxed(uid_t uid, bool refused)
{
	if (uid == 0)
		return "it runs as root, and Chrome's sandbox does not; give the browser a user";
	if (read_setting("/proc/sys/user/max_user_namespaces", 1) == 0)
		return "user.max_user_namespaces is 0";
	if (read_setting("/proc/sys/kernel/unprivileged_userns_clone", 1) == 0)
		return "kernel.unprivileged_userns_clone is 0";
	if (refused)
		return "it could not make a user namespace here";
	return NULL;
}

static void decide_sandbox(struct browser_launch *l, enum browser_sandbox wish, bool refused)
{
	l->sandboxed = wish != BROWSER_SANDBOX_OFF;
	const char *why = wish == BROWSER_SANDBOX_AUTO ? why_unsandboxed(l->account.uid, refused) : NULL;
	if (!why)
		return;
	l->sandboxed = false;
	snprintf(l->remark, sizeof(l->remark), "Chrome runs WITHOUT its sandbox: %s", why);
}

/* ---- flags and environment ---- */

PRINTF_LIKE(2, 3)
static int add_flag(struct browser_launch *l, const char *fmt, ...)
{
	if (l->argc + 1 >= ARGS_MAX)
		return -E2BIG;
	va_list args;
	va_start(args, fmt);
	int n = vasprintf(&l->argv[l->argc], fmt, args);
	va_end(args);
	if (n < 0) {
		l->argv[l->argc] = NULL;
		return -ENOMEM;
	}
	l->argc++;
	return 0;
}

/* What others depend on comes last: of two equal flags Chrome takes the last one. No
 * --disk-cache-dir: in the headless shell every browser context then opens the cache in the same
 * place, and all but the first wait for it for ever. Below the profile each has its own. */
static int add_own_flags(struct browser_launch *l)
{
	int rc = add_flag(l, "--user-data-dir=%s/profile", l->directory);
	rc = rc ? rc : add_flag(l, "--remote-debugging-pipe");
	rc = rc ? rc : add_flag(l, "--remote-debugging-port=0");
	return rc ? rc : add_flag(l, "about:blank");
}

static int fill_flags(struct browser_launch *l, const struct config_browser *config)
{
	const char *base = strrchr(l->executable, '/');
	l->argv = calloc(ARGS_MAX, sizeof(*l->argv));
	if (!l->argv)
		return -ENOMEM;
	int rc = add_flag(l, "%s", l->executable);
	if (rc == 0 && !strstr(base ? base : l->executable, "headless-shell"))
		rc = add_flag(l, "--headless");
	for (size_t i = 0; rc == 0 && i < COUNT(safe_flags); i++)
		rc = add_flag(l, "%s", safe_flags[i]);
	if (rc == 0 && !l->sandboxed)
		rc = add_flag(l, "--no-sandbox");
	for (char **arg = config->args; rc == 0 && arg && *arg; arg++)
		rc = add_flag(l, "%s", *arg);
	return rc ? rc : add_own_flags(l);
}

/* Chrome's processes begin in the directory of their generation, and stay there: what lies too deep has a short name
 * too. */
static int set_temporary(struct browser_launch *l)
{
	bool fits = strlen(l->directory) + strlen("/tmp" SINGLETON_SOCKET) <= SOCKET_PATH_MAX;
	return environment_set(&l->env, "TMPDIR", "%s/tmp", fits ? l->directory : "/proc/self/cwd");
}

static int fill_environment(struct browser_launch *l, const struct config_browser *config)
{
	static const struct {
		const char *name, *below;
	} places[] = {{"HOME", "home"}, {"XDG_CONFIG_HOME", "home/.config"}, {"XDG_CACHE_HOME", "cache"},
		{"XDG_DATA_HOME", "home/.local/share"}, {"XDG_RUNTIME_DIR", "tmp"}};
	environment_init(&l->env);
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < COUNT(inherited); i++)
		if (getenv(inherited[i]))
			rc = environment_set(&l->env, inherited[i], "%s", getenv(inherited[i]));
	for (size_t i = 0; rc == 0 && i < COUNT(places); i++)
		rc = environment_set(&l->env, places[i].name, "%s/%s", l->directory, places[i].below);
	rc = rc ? rc : set_temporary(l);
	/* Or it would start a bus daemon of its own, which outlives it. */
	rc = rc ? rc : environment_set(&l->env, "DBUS_SESSION_BUS_ADDRESS", "disabled:");
	return rc ? rc : environment_set_pairs(&l->env, config->env, config->n_env);
}

static int fill_places(struct browser_launch *l, const char *name, const char *volume_path, uint64_t generation)
{
	unsigned long long n = generation;
	int len = snprintf(l->home, sizeof(l->home), "%s/" BROWSER_HOME, volume_path, name);
	if (len < 0 || (size_t)len + 32 > sizeof(l->home))
		return -ENAMETOOLONG;
	snprintf(l->directory, sizeof(l->directory), "%.*s/g%llu", len, l->home, n);
	snprintf(l->trash, sizeof(l->trash), "%.*s/trash-g%llu", len, l->home, n);
	return 0;
}

int browser_launch_init(struct browser_launch *l, const struct config_browser *config, const char *volume_path,
	uint64_t generation, bool sandbox_refused, struct err *err)
{
	*l = (struct browser_launch){0};
	environment_init(&l->env);
	int rc = find_executable(config->executable, l->executable, sizeof(l->executable), err);
	if (rc == 0 && account_find(config->user, NULL, &l->account, err) < 0)
		rc = -EINVAL;
	if (rc < 0)
		return rc;
	decide_sandbox(l, config->sandbox, sandbox_refused);
	rc = fill_places(l, config->name, volume_path, generation);
	rc = rc ? rc : fill_flags(l, config);
	rc = rc ? rc : fill_environment(l, config);
	if (rc < 0) {
		browser_launch_fini(l);
		return err_set(err, rc, "its command cannot be made: %s", strerror(-rc));
	}
	return 0;
}

void browser_launch_fini(struct browser_launch *l)
{
	for (size_t i = 0; i < l->argc; i++)
		free(l->argv[i]);
	free(l->argv);
	environment_fini(&l->env);
	*l = (struct browser_launch){0};
	environment_init(&l->env);
}

/* ---- directories ---- */

/* A directory of podvisor's own on a disk where others may write: one that was put
 * there by somebody else, or a link, is not used. */
static int make_own(const char *path, struct err *err)
{
	struct stat st;
	if (mkdir(path, 0711) < 0 && errno != EEXIST)
		return err_set(err, -EIO, "cannot make %s: %s", path, strerror(errno));
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return err_set(err, -EIO, "%s is not a directory of podvisor's own", path);
	return 0;
}

static int make_home(const struct browser_launch *l, struct err *err)
{
	char parent[PATH_MAX];
	snprintf(parent, sizeof(parent), "%s", l->home);
	*strrchr(parent, '/') = '\0';
	int rc = make_own(parent, err);
	return rc ? rc : make_own(l->home, err);
}

static int check_room(const struct browser_launch *l, struct err *err)
{
	struct statvfs fs;
	if (statvfs(l->home, &fs) < 0)
		return err_set(err, -EIO, "cannot look at %s: %s", l->home, strerror(errno));
	int64_t room = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
	if (room >= BROWSER_ROOM_BYTES)
		return 0;
	return err_set(err, -ENOSPC, "its disk has %lld MiB left, a start needs %lld MiB", (long long)(room >> 20),
		(long long)(BROWSER_ROOM_BYTES >> 20));
}

static int give_to(int fd, const char *name, const struct account *account)
{
	if (account->uid == geteuid())
		return 0;
	return fchownat(fd, name, account->uid, account->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* The top is given away last: until then nobody else can put anything in it. */
static int fill_generation(const struct browser_launch *l, int fd)
{
	static const char *const names[] = {"profile", "tmp", "home", "cache"};
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < COUNT(names); i++) {
		rc = mkdirat(fd, names[i], 0700) < 0 ? -errno : 0;
		rc = rc ? rc : give_to(fd, names[i], &l->account);
	}
	return rc ? rc : give_to(AT_FDCWD, l->directory, &l->account);
}

int browser_launch_make_directories(const struct browser_launch *l, bool first, struct err *err)
{
	int rc = make_home(l, err);
	if (rc == 0 && first)
		rc = remove_tree_now(l->home, err) == 0 ? make_home(l, err) : -EIO;
	rc = rc ? rc : check_room(l, err);
	rc = rc ? rc : remove_tree_now(l->directory, err);
	if (rc < 0)
		return rc == -ENOSPC ? rc : -EIO;
	if (mkdir(l->directory, 0700) < 0)
		return err_set(err, -EIO, "cannot make %s: %s", l->directory, strerror(errno));
	int fd = open(l->directory, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	rc = fd < 0 ? -errno : fill_generation(l, fd);
	if (fd >= 0)
		close(fd);
	return rc < 0 ? err_set(err, -EIO, "cannot fill %s: %s", l->directory, strerror(-rc)) : 0;
}

/* ---- for people ---- */

static void put_quoted(struct buf *out, const char *arg)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=./:,@%+";
	if (arg[0] && arg[strspn(arg, plain)] == '\0') {
		buf_puts(out, arg);
		return;
	}
	buf_putc(out, '\'');
	for (; *arg; arg++)
		if (*arg == '\'')
			buf_puts(out, "'\\''");
		else
			buf_putc(out, *arg);
	buf_putc(out, '\'');
}

int browser_launch_print(const struct config_browser *config, const char *volume_path, struct buf *out, struct err *err)
{
	struct browser_launch l;
	int rc = browser_launch_init(&l, config, volume_path, 1, false, err);
	if (rc < 0)
		return rc;
	for (size_t i = 0; i < l.argc; i++) {
		if (i)
			buf_putc(out, ' ');
		put_quoted(out, l.argv[i]);
	}
	browser_launch_fini(&l);
	return out->failed ? err_set(err, out->failed, "its command is too long") : 0;
}
