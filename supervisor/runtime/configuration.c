#include "podvisor/runtime/configuration.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/io/file.h"
#include "podvisor/io/postgres_dsn.h"
#include "podvisor/wire/tzif.h"

static const char *variable(void *ctx, const char *name)
{
	(void)ctx;
	return getenv(name);
}

/* What a parse of the configuration needs from outside. */
struct outside {
	ms_t patience;
};

/* One trailing newline, as editors and `echo` leave it, is not part of a secret. */
static char *file(void *ctx, const char *path, struct err *err)
{
	const struct outside *outside = ctx;
	struct buf text;
	if (file_read(path, 64 << 10, outside->patience, &text, err) < 0)
		return NULL;
	if (text.len && text.data[text.len - 1] == '\n')
		text.data[--text.len] = '\0';
	char *taken = memchr(buf_str(&text), '\0', text.len) ? NULL : buf_take(&text);
	if (!taken && text.len)
		err_set(err, -EBADMSG, "%s: holds a NUL byte", path);
	else if (!taken)
		err_set(err, -ENOMEM, "out of memory");
	buf_fini(&text);
	return taken;
}

/* TZDIR as the C library takes it. Zones are files, nothing that one waits for. */
static void *zone(void *ctx, const char *name, size_t *len, struct err *err)
{
	(void)ctx;
	const char *dir = getenv("TZDIR");
	char path[PATH_MAX];
	struct buf bytes;
	snprintf(path, sizeof(path), "%s/%s", dir && *dir ? dir : "/usr/share/zoneinfo", name);
	if (file_read(path, TZIF_BYTES_MAX, 0, &bytes, err) < 0)
		return NULL;
	*len = bytes.len;
	void *taken = buf_take(&bytes);
	if (!taken)
		err_set(err, -ENOMEM, "out of memory");
	return taken;
}

static int dsn(void *ctx, const char *text, struct err *err)
{
	(void)ctx;
	return postgres_dsn_check(text, err);
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

void configuration_tell(const char *path, const struct config_report *report, struct buf *out)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct config_mistake *m = &report->items[i];
		buf_printf(
			out, "%s:%d:%d: %s%s%s\n", path, m->line, m->column, m->path, m->path[0] ? ": " : "", m->text);
	}
	if (report->more)
		buf_printf(out, "%s: and %zu more\n", path, report->more);
}

static int name_instance(struct config *config, const char *host)
{
	if (!config->instance && host)
		config->instance = strdup(host);
	return config->instance || !host ? 0 : -ENOMEM;
}

static struct config *parse(const struct buf *text, const struct config_source *source, struct config_report *report)
{
	struct config *config = config_parse(buf_str(text), text->len, source, report);
	if (!config || name_instance(config, source->host) == 0)
		return config;
	config_release(config);
	return NULL;
}

/* The pod's name in Kubernetes. As it is at the start, as the environment is: a host that is renamed meanwhile is the
 * same instance, and a reload has nothing to refuse in that. */
static const char *host_name(void)
{
	static char name[256];
	if (!name[0] && gethostname(name, sizeof(name) - 1) < 0)
		name[0] = '\0';
	return name[0] ? name : NULL;
}

struct config *configuration_check(const char *path, ms_t patience, struct config_report *report, struct err *err)
{
	struct buf text;
	report->count = report->more = 0;
	struct outside outside = {patience};
	if (file_read(path, CONFIGURATION_MAX_BYTES, patience, &text, err) < 0)
		return NULL;
	const struct config_source source = {
		.ctx = &outside, .variable = variable, .host = host_name(), .file = file, .zone = zone, .dsn = dsn};
	struct config *config = parse(&text, &source, report);
	buf_fini(&text);
	if (!config)
		sum_up(path, report, err);
	return config;
}

struct config *configuration_read(const char *path, ms_t patience, struct buf *lines, struct err *err)
{
	struct config_report *report = calloc(1, sizeof(*report));
	if (!report) {
		err_set(err, -ENOMEM, "%s: out of memory", path);
		return NULL;
	}
	struct config *config = configuration_check(path, patience, report, err);
	configuration_tell(path, report, lines);
	if (!config && report->count == 0)
		buf_printf(lines, "%s\n", err->text);
	free(report);
	return config;
}
