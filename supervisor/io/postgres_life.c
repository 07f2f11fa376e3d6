#include "postgres_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool postgres_is_alive(const struct postgres *p)
{
	return p->stage != STAGE_DEAD;
}

int64_t postgres_call_max_us(const struct postgres *p)
{
	return p->call_max_us;
}

void postgres_note_call(struct postgres *p, uint64_t begun_ns)
{
	int64_t us = (int64_t)(uv_hrtime() - begun_ns) / 1000;
	if (us > p->call_max_us)
		p->call_max_us = us;
}

/* ---- the end ---- */

static void free_poll(uv_handle_t *handle)
{
	free(handle);
}

/* Before PQfinish and before every PQconnectPoll: either may close the socket, and a new one
 * may get its number. */
static void drop_poll(struct postgres *p)
{
	if (p->poll)
		uv_close((uv_handle_t *)p->poll, free_poll);
	p->poll = NULL;
}

void postgres_drop_connection(struct postgres *p)
{
	drop_poll(p);
	if (p->rows)
		pq.clear(p->rows);
	p->rows = NULL;
	if (p->conn) {
		uint64_t begun = uv_hrtime();
		pq.finish(p->conn);
		postgres_note_call(p, begun);
	}
	p->conn = NULL;
}

static void free_wishes(struct wishes *w)
{
	free(w->host);
	free(w->hostaddr);
	free(w->port);
	free(w->password);
	free(w->application_name);
	free(w->target_session_attrs);
	free(w->tcp_user_timeout);
	free(w->gssencmode);
}

void postgres_free_when_idle(struct postgres *p)
{
	if (!p->closed || !p->timer_closed || p->working || p->resolving)
		return;
	if (p->wishes.password)
		explicit_bzero(p->wishes.password, strlen(p->wishes.password));
	explicit_bzero(p->dsn, strlen(p->dsn));
	free_wishes(&p->wishes);
	free(p->dsn);
	free(p->application_name);
	free(p);
}

void postgres_die(struct postgres *p)
{
	p->stage = STAGE_DEAD;
	uv_timer_stop(&p->deadline);
	postgres_drop_connection(p);
}

void postgres_end(struct postgres *p, const struct postgres_failure *why)
{
	struct postgres_failure f = *why;
	postgres_die(p);
	p->options.ended(p->options.ctx, &f);
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct postgres *p = handle->data;
	p->timer_closed = true;
	postgres_free_when_idle(p);
}

void postgres_close(struct postgres *p)
{
	if (!p || p->closed)
		return;
	p->closed = true;
	postgres_die(p);
	if (p->resolving)
		uv_cancel((uv_req_t *)&p->resolve);
	uv_close((uv_handle_t *)&p->deadline, on_timer_closed);
}

/* ---- polling ---- */

bool postgres_start_poll(struct postgres *p, int events)
{
	int fd = pq.socket(p->conn);
	if (p->poll && p->poll_fd != fd)
		drop_poll(p);
	if (!p->poll) {
		p->poll = calloc(1, sizeof(*p->poll));
		if (!p->poll || fd < 0 || uv_poll_init(&p->loop->uv, p->poll, fd) < 0) {
			free(p->poll);
			p->poll = NULL;
			return false;
		}
		p->poll->data = p;
		p->poll_fd = fd;
	}
	return uv_poll_start(p->poll, events, postgres_on_poll) == 0;
}

void postgres_set_deadline(struct postgres *p, ms_t span, uv_timer_cb on_deadline)
{
	uv_update_time(&p->loop->uv);
	uv_timer_start(&p->deadline, on_deadline, (uint64_t)(span > 0 ? span : 0), 0);
}

int postgres_open(struct postgres **out, struct loop *l, const struct postgres_options *o, struct err *err)
{
	struct postgres *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	p->loop = l;
	p->options = *o;
	p->dsn = strdup(o->dsn);
	p->application_name = strdup(o->application_name);
	p->prepare.data = p->resolve.data = p->deadline.data = p;
	int rc = p->dsn && p->application_name
			 ? uv_queue_work(&l->uv, &p->prepare, postgres_understand, postgres_on_understood)
			 : -ENOMEM;
	if (rc < 0) {
		free(p->dsn);
		free(p->application_name);
		free(p);
		return err_set(err, rc, "cannot open a connection: %s", uv_strerror(rc));
	}
	p->working = true;
	uv_timer_init(&l->uv, &p->deadline);
	*out = p;
	return 0;
}
