#include "podvisor/control/socket_guard.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "podvisor/io/runtime_dir.h"

struct socket_guard {
	uv_timer_t timer;
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

static void on_due(uv_timer_t *timer)
{
	struct socket_guard *g = timer->data;
	struct err err = {0};
	if (server_is_found(g->server)) {
		g->told = 0;
		return;
	}
	int rc = restore(g, &err);
	if (rc == 0)
		say(g, LOG_WARN, "was taken away and is there again", "");
	else if (rc != g->told)
		say(g, LOG_ERROR, "was taken away, and the commands find nobody; it is tried again and again",
			err.text);
	g->told = rc;
}

int socket_guard_new(struct socket_guard **out, struct loop *loop, struct server *server,
	const struct control_port *port, struct err *err)
{
	struct socket_guard *g = calloc(1, sizeof(*g));
	if (!g)
		return err_set(err, -ENOMEM, "out of memory");
	g->server = server;
	g->port = port;
	uv_timer_init(&loop->uv, &g->timer);
	g->timer.data = g;
	uv_timer_start(&g->timer, on_due, SOCKET_GUARD_INTERVAL_MS, SOCKET_GUARD_INTERVAL_MS);
	*out = g;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void socket_guard_free(struct socket_guard *g)
{
	if (g)
		uv_close((uv_handle_t *)&g->timer, on_closed);
}
