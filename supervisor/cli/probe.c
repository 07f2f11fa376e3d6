#include "podvisor/cli/probe.h"

#include <string.h>
#include <sysexits.h>

#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"

static const struct {
	const char *name, *path;
} probes[] = {{"live", "/livez"}, {"ready", "/readyz"}, {"startup", "/startupz"}};

static const char *path_of(const char *name)
{
	for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++)
		if (strcmp(probes[i].name, name) == 0)
			return probes[i].path;
	return NULL;
}

/* The body line by line: its own line ends stay, other control characters do not. */
static void print_body(const struct buf *body)
{
	for (size_t i = 0; i < body->len; i++) {
		char c[2] = {body->data[i], '\0'};
		if (c[0] == '\n')
			fputc('\n', stdout);
		else
			table_put_clean(stdout, c);
	}
	if (body->len && body->data[body->len - 1] != '\n')
		fputc('\n', stdout);
}

int probe_run(const struct options *o)
{
	struct supervisor s;
	struct http_call call;
	const char *path = path_of(o->names[0]);
	if (!path) {
		fprintf(stderr, "podvisor probe: there is no probe \"%s\" (live, ready or startup)\n", o->names[0]);
		return EX_USAGE;
	}
	supervisor_init(&s, o);
	supervisor_call(&call, "GET", "%s", path);
	int code = supervisor_ask(&s, &call, SUPERVISOR_PATIENCE_MS);
	if (code == 0) {
		print_body(&call.body);
		code = call.status == 200 ? 0 : 1;
	}
	buf_fini(&call.body);
	return code;
}
