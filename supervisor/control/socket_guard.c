#include "podvisor/control/socket_guard.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "podvisor/io/path_watch.h"
#include "podvisor/io/runtime_dir.h"

/* Who removes a directory must find it empty in the end. */
#define SETTLED_MS 1000

struct socket_guard {
	struct loop *loop;
	uv_timer_t timer; /* the next look; at rest there is none */
	struct path_watch *watch; /* NULL: looked at by the clock alone */
	bool unwatched; /* and that was told */
	struct server *server;
	const struct control_port *port;
	int told; /* the failure that was told last; 0: none */
};

static void say(const struct socket_guard *g, enum log_level level, const char *what, const char *why)
{
	char text[ERR_TEXT_MAX + 256];
	snprintf(text, sizeof(text), "the control socket %s %s%s%s", server_path(g->server), what, why[0] ? ": " : "",
		why);
	if (g->port->say)
		g->port->say(g->port->ctx, level, text);
}

static int restore(const struct socket_guard *g, struct err *err)
{
	struct snapshot s;
	const char *path = server_path(g->server);
	g->port->snapshot(g->port->ctx, &s);
	if (!runtime_dir_restore(path, s.world->config->control.socket))
		return err_set(err, -EACCES, "its directory is not there, or cannot be written by podvisor alone");
	return server_listen_again(g->server, err);
}

static void look(struct socket_guard *g)
{
	struct err err = {0};
	bool found = server_is_found(g->server);
	int rc = found ? 0 : restore(g, &err);
	if (rc == 0 && (!found || g->told))
		say(g, LOG_WARN, "was taken away and is there again", "");
	else if (rc != g->told)
		say(g, LOG_ERROR, "was taken away, and the commands find nobody; it is tried again and again",
			err.text);
	g->told = rc;
}

static void on_due(uv_timer_t *timer);

static void on_touched(void *ctx)
{
	struct socket_guard *g = ctx;
	if (!uv_is_active((uv_handle_t *)&g->timer))
		uv_timer_start(&g->timer, on_due, SETTLED_MS, 0);
}

static int watch(struct socket_guard *g)
{
	struct err err = {0};
	int rc = path_watch_new(&g->watch, g->loop, server_path(g->server), on_touched, g, &err);
	if (rc < 0 && !g->unwatched)
		say(g, LOG_INFO, "cannot be watched, and is looked at every few seconds", err.text);
	g->unwatched = rc < 0;
	return rc;
}

/* What is there now is watched; what is not there, or cannot be, is looked at again in a while. */
static void keep_looking(struct socket_guard *g)
{
	path_watch_free(g->watch);
	g->watch = NULL;
	if (!server_is_found(g->server) || watch(g) < 0)
		uv_timer_start(&g->timer, on_due, SOCKET_GUARD_INTERVAL_MS, 0);
	else if (!server_is_found(g->server) || g->told) /* gone or back since the look */
		on_touched(g);
}

static void on_due(uv_timer_t *timer)
{
	struct socket_guard *g = timer->data;
	look(g);
	keep_looking(g);
}

int socket_guard_new(struct socket_guard **out, struct loop *loop, struct server *server,
	const struct control_port *port, struct err *err)
{
	struct socket_guard *g = calloc(1, sizeof(*g));
	if (!g)
		return err_set(err, -ENOMEM, "out of memory");
	g->loop = loop;
	g->server = server;
	g->port = port;
	uv_timer_init(&loop->uv, &g->timer);
	g->timer.data = g;
	keep_looking(g);
	*out = g;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void socket_guard_free(struct socket_guard *g)
{
	if (!g)
		return;
	path_watch_free(g->watch);
	uv_close((uv_handle_t *)&g->timer, on_closed);
}
