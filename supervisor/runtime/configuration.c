#include "podvisor/runtime/configuration.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_all(int fd, size_t max, struct buf *out)
{
	buf_init(out, max);
	for (;;) {
		char *at = buf_reserve(out, 4096 < max - out->len ? 4096 : max - out->len);
		if (!at || out->len == max)
			return -EFBIG;
		ssize_t n = read(fd, at, out->cap - out->len - 1);
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		out->len += (size_t)n;
	}
}

/* O_NONBLOCK: a FIFO in place of a file must not hang the reader. */
static int read_file(const char *path, size_t max, struct buf *out, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		int code = -errno;
		if (fd >= 0)
			close(fd);
		return err_set(err, code, "%s: %s", path, strerror(-code));
	}
	int rc = S_ISDIR(st.st_mode) ? -EISDIR : read_all(fd, max, out);
	close(fd);
	if (rc == 0)
		return 0;
	buf_fini(out);
	return rc == -EFBIG ? err_set(err, rc, "%s: larger than %zu KiB", path, max >> 10)
			    : err_set(err, rc, "%s: %s", path, strerror(-rc));
}

static const char *variable(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

/* One trailing newline, as editors and `echo` leave it, is not part of a secret. */
static char *file(void *ctx, const char *path, struct err *err)
{
	(void)ctx;
	struct buf text;
	buf_init(&text, 0);
	if (read_file(path, 64 << 10, &text, err) < 0)
		return NULL;
	if (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	char *taken = buf_take(&text);
	if (!taken)
		err_set(err, -ENOMEM, "out of memory");
	return taken;
}

static void sum_up(const char *path, const struct config_report *report, struct err *err)
{
	size_t all = report->count + report->more;
	if (report->count == 0) {
		err_set(err, -ENOMEM, "%s: out of memory", path);
		return;
	}
	const struct config_mistake *first = &report->items[0];
	err_set(err, -EINVAL, "%s:%d:%d: %s%s%s%s", path, first->line, first->column, first->path,
		first->path[0] ? ": " : "", first->text, all > 1 ? " (and more mistakes)" : "");
}

static void tell(const char *path, const struct config_report *report, struct buf *mistakes, const struct err *err)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct config_mistake *m = &report->items[i];
		buf_printf(mistakes, "%s:%d:%d: %s%s%s\n", path, m->line, m->column, m->path, m->path[0] ? ": " : "",
			m->text);
	}
	if (report->count == 0)
		buf_printf(mistakes, "%s\n", err->text);
	if (report->more)
		buf_printf(mistakes, "%s: and %zu more\n", path, report->more);
}

struct config *configuration_check(const char *path, struct config_report *report, struct err *err)
{
	struct buf text;
	report->count = report->more = 0;
	buf_init(&text, 0);
	if (read_file(path, CONFIGURATION_MAX_BYTES, &text, err) < 0)
		return NULL;
	const struct config_source source = {.variable = variable, .file = file};
	struct config *config = config_parse(buf_str(&text), text.len, &source, report);
	buf_fini(&text);
	if (!config)
		sum_up(path, report, err);
	return config;
}

struct config *configuration_read(const char *path, struct buf *mistakes, struct err *err)
{
	struct config_report *report = calloc(1, sizeof(*report));
	if (!report) {
		err_set(err, -ENOMEM, "%s: out of memory", path);
		return NULL;
	}
	struct config *config = configuration_check(path, report, err);
	if (!config)
		tell(path, report, mistakes, err);
	free(report);
	return config;
}
