#include "lease_kubernetes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kubernetes_api.h"
#include "podvisor/runtime/lease_object.h"
#include "podvisor/runtime/lease_roll.h"
#include "podvisor/base/list.h"

#define LEASES_PATH     "/apis/coordination.k8s.io/v1/namespaces"
#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"
#define PATH_SIZE       512
#define UNDER_WAY_MAX   8 /* requests side by side: a server that stalls is not met with a connection for each share */
#define WATCH_MS                                                                                             \
	((ms_t)60 * 1000) /* after that the server ends a watch, and a wire that was cut in silence is found \
			   */
#define WATCH_GRACE_MS ((ms_t)5 * 1000)

/* A question: one HTTP request after the other, until it is answered. */
struct ask {
	struct list node;
	struct lease_kubernetes *owner;
	enum lease_request kind; /* LEASE_NOTHING: the heartbeat */
	uint32_t slot;
	struct lease_orders orders;
	bool leaving; /* of the heartbeat */
	ms_t due; /* of its answer */
	bool begun, fresh; /* what is changed was read for it, and is no memory */
	struct kubernetes_call *call;
	ms_t sent; /* before the send of the newest request */
};

struct lease_kubernetes {
	const struct context *context;
	struct kubernetes_api *api;
	char namespace[64]; /* "": not read yet */
	struct list asks;
	bool going_on;
	json_t **objects; /* by slot, the newest that was seen of each; NULL: none */
	size_t n_objects;
	struct lease_roll roll;
	struct kubernetes_call *watch;
	ms_t watch_at; /* not earlier */
	char watch_trouble[160];
};

static const struct config_leases *config_of(const struct lease_kubernetes *l)
{
	return &l->context->world->config->leases;
}

static const struct lease_book *book_of(const struct lease_kubernetes *l)
{
	return &l->context->world->leases;
}

/* ---- objects ---- */

/* "podvisor.indexer", "podvisor.shard.3"; of the roll, "podvisor". */
static void name_object(const struct lease_kubernetes *l, const struct ask *a, char *out, size_t size)
{
	const char *name = a->kind == LEASE_NOTHING ? "" : book_of(l)->entries[a->slot]->name;
	snprintf(out, size, "%s%s%s", config_of(l)->schema, name[0] ? "." : "", name);
	char *slash = strchr(out, '/');
	if (slash)
		*slash = '.';
}

static bool grow(struct lease_kubernetes *l, size_t n)
{
	json_t **objects = n > l->n_objects ? realloc(l->objects, n * sizeof(json_t *)) : l->objects;
	if (!objects)
		return n == 0;
	for (l->objects = objects; l->n_objects < n; l->n_objects++)
		l->objects[l->n_objects] = NULL;
	return true;
}

/* NULL forgets what was known. */
static void remember(struct lease_kubernetes *l, uint32_t slot, json_t *object)
{
	if (!grow(l, (size_t)slot + 1))
		return;
	json_decref(l->objects[slot]);
	l->objects[slot] = json_incref(object);
}

static json_t *remembered(const struct lease_kubernetes *l, uint32_t slot)
{
	return slot < l->n_objects ? l->objects[slot] : NULL;
}

/* ---- the end of a question ---- */

static void go_on(struct lease_kubernetes *l);

static void drop(struct ask *a)
{
	list_remove(&a->node);
	free(a);
}

static void end(struct ask *a, struct event *e)
{
	struct lease_kubernetes *l = a->owner;
	e->slot = a->slot;
	e->run = a->orders.id;
	loop_post(l->context->loop, e);
	drop(a);
	go_on(l);
}

/* Of a heartbeat nobody waits for the answer. */
static void fail(struct ask *a, const char *why)
{
	struct lease_kubernetes *l = a->owner;
	struct event e = {.kind = EVENT_LEASE_FAILED};
	snprintf(e.text, sizeof(e.text), "%s", why);
	if (a->kind != LEASE_NOTHING) {
		remember(l, a->slot, NULL); /* nobody knows what was carried out */
		end(a, &e);
		return;
	}
	drop(a);
	go_on(l);
}

/* What is not there is of the object that was there last. */
static void tell_row(struct ask *a, enum event_kind kind, const struct lease_object *o)
{
	struct event e = {.kind = kind};
	e.lease.sent = a->sent;
	e.lease.received = loop_now();
	e.lease.system = o ? o->system : book_of(a->owner)->entries[a->slot]->epoch.system;
	e.lease.timeline = LEASE_OBJECT_TIMELINE;
	if (o) {
		e.lease.token = o->row.token;
		e.lease.seq = o->row.seq;
		e.lease.granted_on = o->row.timeline;
		snprintf(e.text, sizeof(e.text), "%s", o->row.holder);
	}
	end(a, &e);
}

static int by_id(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the same order everywhere, whoever came first. */
static int list_there(const struct lease_kubernetes *l, const char *ids[LEASE_MEMBERS_MAX])
{
	int n = 0;
	for (int i = 0; i < l->roll.n; i++)
		if (lease_roll_is_there(&l->roll.members[i], config_of(l)->ttl, loop_now()))
			ids[n++] = l->roll.members[i].id;
	qsort(ids, (size_t)n, sizeof(*ids), by_id);
	return n;
}

static void tell_members(struct ask *a)
{
	struct lease_kubernetes *l = a->owner;
	const char *ids[LEASE_MEMBERS_MAX] = {NULL};
	int n = list_there(l, ids);
	for (int i = 0; i < n; i++) {
		struct event e = {.kind = EVENT_LEASE_MEMBER, .count = i};
		snprintf(e.text, sizeof(e.text), "%s", ids[i]);
		loop_post(l->context->loop, &e);
	}
	end(a, &(struct event){.kind = EVENT_LEASE_MET, .count = n});
}

/* ---- requests ---- */

static void on_read(void *ctx, const struct kubernetes_reply *reply);
static void on_made(void *ctx, const struct kubernetes_reply *reply);
static void on_written(void *ctx, const struct kubernetes_reply *reply);

static int find_namespace(struct lease_kubernetes *l, struct err *err)
{
	if (l->namespace[0])
		return 0;
	if (!config_of(l)->namespace)
		return kubernetes_api_namespace(l->api, l->namespace, sizeof(l->namespace), err);
	snprintf(l->namespace, sizeof(l->namespace), "%s", config_of(l)->namespace);
	return 0;
}

/* Time of the send is taken before it: the holder's term begins there. */
static void ask_server(
	struct ask *a, const char *method, const json_t *body, void (*done)(void *, const struct kubernetes_reply *))
{
	struct lease_kubernetes *l = a->owner;
	char name[160], path[PATH_SIZE];
	struct err err = {0};
	int rc = find_namespace(l, &err);
	name_object(l, a, name, sizeof(name));
	bool makes = done == on_made;
	snprintf(path, sizeof(path), LEASES_PATH "/%s/leases%s%s", l->namespace, makes ? "" : "/", makes ? "" : name);
	a->sent = loop_now();
	ms_t left = a->due - a->sent;
	if (rc == 0 && left <= 0)
		rc = err_set(&err, -ETIMEDOUT, "no answer in time");
	struct kubernetes_request request = {.method = method, .path = path, .body = body, .timeout = left};
	if (rc == 0)
		rc = kubernetes_api_send(l->api, &request, done, a, &a->call, &err);
	if (rc < 0)
		fail(a, err.text);
}

static void read_object(struct ask *a)
{
	a->fresh = true;
	ask_server(a, "GET", NULL, on_read);
}

static void make_object(struct ask *a)
{
	struct lease_kubernetes *l = a->owner;
	char name[160];
	name_object(l, a, name, sizeof(name));
	json_t *object = a->kind == LEASE_NOTHING
				 ? lease_roll_new(name)
				 : lease_object_new(name, config_of(l)->schema,
					   book_of(l)->entries[a->slot]->lease.seen.token, loop_wall_ms());
	if (object)
		ask_server(a, "POST", object, on_made);
	else
		fail(a, "out of memory");
	json_decref(object);
}

/* A share is wanted by nobody but who shall hold it. */
static const char *choose_next(const struct lease_kubernetes *l, const struct ask *a)
{
	const struct lease_entry *e = book_of(l)->entries[a->slot];
	if (config_of(l)->prefer != LEASE_PREFER_NEWEST || e->shares)
		return "";
	return lease_roll_newest(&l->roll, e->name, book_of(l)->settings.me, config_of(l)->ttl, loop_now());
}

static int change_object(const struct ask *a, json_t *object, const struct lease_row *row)
{
	const struct lease_kubernetes *l = a->owner;
	struct lease_object_change change = {.request = a->kind,
		.schema = config_of(l)->schema,
		.next = a->kind == LEASE_RELEASE ? choose_next(l, a) : "",
		.ttl_ms = config_of(l)->ttl,
		.wall_ms = loop_wall_ms()};
	return lease_object_write(object, row, &change);
}

/* An object that was put back from a copy may look as its predecessor did, and its holder may still be at work: the
 * model has to hear of the other object first. */
static bool carry_out(const struct ask *a, const struct lease_object *o, struct lease_row *row)
{
	bool other = a->kind == LEASE_ACQUIRE && o->system != a->orders.system;
	return !other && lease_row_carry_out(row, &a->orders, book_of(a->owner)->settings.me, LEASE_OBJECT_TIMELINE, 0);
}

/* As ordered, from what is known; a memory that does not allow it is no answer: the object is read then. */
static void write_object(struct ask *a, json_t *known)
{
	struct lease_object o;
	if (!lease_object_read(known, &o)) {
		fail(a, "the API server's answer is no Lease");
		return;
	}
	struct lease_row row = o.row;
	if (!carry_out(a, &o, &row)) {
		if (a->fresh)
			tell_row(a, EVENT_LEASE_DENIED, &o);
		else
			read_object(a);
		return;
	}
	json_t *changed = json_deep_copy(known);
	if (changed && change_object(a, changed, &row) == 0)
		ask_server(a, "PUT", changed, on_written);
	else
		fail(a, "out of memory");
	json_decref(changed);
}

static json_t *list_offered(const struct lease_book *book)
{
	json_t *names = json_array();
	for (size_t i = 0; i < book->n; i++)
		if (book->entries[i]->offered)
			json_array_append_new(names, json_string(book->entries[i]->name));
	return names;
}

static void write_roll(struct ask *a, json_t *known)
{
	struct lease_kubernetes *l = a->owner;
	json_t *changed = json_deep_copy(known), *names = list_offered(book_of(l));
	lease_roll_read(&l->roll, known, loop_now());
	if (changed && names &&
		lease_roll_sign(
			&l->roll, changed, book_of(l)->settings.me, names, a->leaving, config_of(l)->ttl, loop_now()))
		ask_server(a, "PUT", changed, on_written);
	else
		fail(a, "out of memory");
	json_decref(names);
	json_decref(changed);
}

/* ---- replies ---- */

static void take_object(struct ask *a, json_t *object)
{
	struct lease_object o;
	remember(a->owner, a->slot, object);
	if (lease_object_read(object, &o))
		tell_row(a, EVENT_LEASE_ANSWERED, &o);
	else
		fail(a, "the API server's answer is no Lease");
}

static void take_missing(struct ask *a)
{
	bool looks = a->kind == LEASE_OBSERVE || a->kind == LEASE_NOTHING;
	if (a->kind != LEASE_NOTHING)
		remember(a->owner, a->slot, NULL);
	if (looks)
		make_object(a);
	else
		tell_row(a, EVENT_LEASE_DENIED, NULL);
}

static void on_read(void *ctx, const struct kubernetes_reply *reply)
{
	struct ask *a = ctx;
	if (reply->status == 404)
		take_missing(a);
	else if (reply->text[0])
		fail(a, reply->text);
	else if (a->kind == LEASE_NOTHING)
		write_roll(a, reply->body);
	else if (a->kind == LEASE_OBSERVE)
		take_object(a, reply->body);
	else
		write_object(a, reply->body);
}

/* 409: somebody else has made it. */
static void on_made(void *ctx, const struct kubernetes_reply *reply)
{
	struct ask *a = ctx;
	if (reply->status == 409)
		read_object(a);
	else if (reply->text[0])
		fail(a, reply->text);
	else if (a->kind == LEASE_NOTHING)
		write_roll(a, reply->body);
	else
		take_object(a, reply->body);
}

/* 409: somebody has changed it since it was read. What it is now says whether the orders still hold. */
static void on_written(void *ctx, const struct kubernetes_reply *reply)
{
	struct ask *a = ctx;
	if (reply->status == 409) {
		read_object(a);
	} else if (reply->status == 404) {
		take_missing(a);
	} else if (reply->text[0]) {
		fail(a, reply->text);
	} else if (a->kind == LEASE_NOTHING) {
		lease_roll_read(&a->owner->roll, reply->body, loop_now());
		tell_members(a);
	} else {
		take_object(a, reply->body);
	}
}

/* ---- asking ---- */

static void begin(struct ask *a)
{
	json_t *known = a->kind == LEASE_NOTHING || a->kind == LEASE_OBSERVE ? NULL : remembered(a->owner, a->slot);
	a->begun = true;
	if (known)
		write_object(a, known);
	else
		read_object(a);
}

/* The oldest that waits, when there is room for it. */
static struct ask *next_waiting(const struct lease_kubernetes *l)
{
	int under_way = 0;
	struct ask *waiting = NULL;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in no list any more */
	LIST_EACH (at, &l->asks) {
		struct ask *a = LIST_ENTRY(at, struct ask, node);
		under_way += a->begun;
		waiting = waiting || a->begun ? waiting : a;
	}
	return under_way < UNDER_WAY_MAX ? waiting : NULL;
}

/* One that fails at once comes back here: it finds the loop at work. */
static void go_on(struct lease_kubernetes *l)
{
	struct ask *a;
	if (l->going_on)
		return;
	l->going_on = true;
	while ((a = next_waiting(l)))
		begin(a);
	l->going_on = false;
}

/* ---- the watch ---- */

static bool is_named(const struct lease_kubernetes *l, uint32_t slot, const char *object)
{
	char name[160];
	name_object(l, &(struct ask){.kind = LEASE_OBSERVE, .slot = slot}, name, sizeof(name));
	return strcmp(name, object) == 0;
}

static void hint(const struct lease_kubernetes *l, uint32_t slot, const struct lease_object *o)
{
	struct event e = {.kind = EVENT_LEASE_HINTED, .slot = slot};
	e.lease.token = o->row.token;
	e.lease.seq = o->row.seq;
	e.lease.received = loop_now();
	/* To nobody in particular is to everybody. */
	e.lease.preferred = !o->next[0] || strcmp(o->next, book_of(l)->settings.me) == 0;
	loop_post(l->context->loop, &e);
}

static void see(struct lease_kubernetes *l, uint32_t slot, json_t *object, bool deleted)
{
	struct lease_object o;
	remember(l, slot, deleted ? NULL : object);
	if (!deleted && lease_object_read(object, &o) && !o.row.holder[0])
		hint(l, slot, &o);
}

/* ADDED, MODIFIED, DELETED; an ERROR (410: it fell behind) has an object of another kind, and ends the watch. */
static void on_seen(void *ctx, json_t *seen)
{
	struct lease_kubernetes *l = ctx;
	const char *type = json_string_value(json_object_get(seen, "type"));
	json_t *object = json_object_get(seen, "object");
	const char *name = json_string_value(json_object_get(json_object_get(object, "metadata"), "name"));
	for (uint32_t i = 0; type && name && i < book_of(l)->n; i++)
		if (is_named(l, i, name))
			see(l, i, object, strcmp(type, "DELETED") == 0);
}

static void watch(struct lease_kubernetes *l);

static void tell_watch(struct lease_kubernetes *l, const char *trouble)
{
	char line[320];
	const struct output *out = l->context->output;
	if (trouble[0] && strcmp(l->watch_trouble, trouble) != 0) {
		int n = snprintf(line, sizeof(line),
			"hand-overs are found by looking alone: cannot watch the leases: %s", trouble);
		out->say(out->ctx, LOG_WARN, THING_POD, "", line, (size_t)n);
	}
	snprintf(l->watch_trouble, sizeof(l->watch_trouble), "%s", trouble);
}

/* It begins anew with what is there now, so nothing is missed. What ended at once is not begun at once. */
static void on_watch_ended(void *ctx, const struct kubernetes_reply *reply)
{
	struct lease_kubernetes *l = ctx;
	bool hasty = !clock_due(l->watch_at, loop_now());
	l->watch = NULL;
	if (reply->status != 410)
		tell_watch(l, reply->text);
	if (!hasty)
		watch(l);
}

/* Without a resourceVersion the server begins with all that is there, so there is none that could be too old. */
static void watch(struct lease_kubernetes *l)
{
	char path[PATH_SIZE];
	struct err err = {0};
	if (l->watch || !clock_due(l->watch_at, loop_now()))
		return;
	l->watch_at = clock_after(loop_now(), config_of(l)->renew);
	int rc = find_namespace(l, &err);
	snprintf(path, sizeof(path),
		LEASES_PATH "/%s/leases?watch=true&labelSelector=podvisor%%2Fleases%%3D%s&timeoutSeconds=%d",
		l->namespace, config_of(l)->schema, (int)(WATCH_MS / 1000));
	struct kubernetes_request request = {
		.method = "GET", .path = path, .timeout = WATCH_MS + WATCH_GRACE_MS, .line = on_seen};
	if (rc == 0)
		rc = kubernetes_api_send(l->api, &request, on_watch_ended, l, &l->watch, &err);
	if (rc < 0)
		tell_watch(l, err.text);
}

/* ---- the part ---- */

static void refuse(const struct lease_kubernetes *l, const struct effect *e)
{
	struct event failed = {.kind = EVENT_LEASE_FAILED, .slot = e->slot, .run = e->run};
	snprintf(failed.text, sizeof(failed.text), "out of memory");
	if (e->kind == EFFECT_LEASE_ASK)
		loop_post(l->context->loop, &failed);
}

void lease_kubernetes_do(struct lease_kubernetes *l, const struct effect *e)
{
	struct ask *a = calloc(1, sizeof(*a));
	watch(l);
	if (!a) {
		refuse(l, e);
		return;
	}
	*a = (struct ask){.owner = l, .slot = e->slot, .due = clock_after(loop_now(), config_of(l)->attempt)};
	if (e->kind == EFFECT_LEASE_ASK) {
		a->orders = book_of(l)->entries[e->slot]->orders;
		a->kind = a->orders.request;
	} else {
		a->leaving = e->value != 0;
	}
	list_append(&l->asks, &a->node);
	go_on(l);
}

int lease_kubernetes_new(struct lease_kubernetes **out, const struct context *c, struct err *err)
{
	struct lease_kubernetes *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	l->context = c;
	list_init(&l->asks);
	const char *folder = c->world->config->leases.service_account;
	int rc = kubernetes_api_new(&l->api, c->loop, folder ? folder : SERVICE_ACCOUNT, err);
	if (rc < 0)
		free(l);
	else
		*out = l;
	return rc;
}

void lease_kubernetes_free(struct lease_kubernetes *l)
{
	if (!l)
		return;
	kubernetes_api_free(l->api);
	LIST_EACH (at, &l->asks)
		drop(LIST_ENTRY(at, struct ask, node));
	for (size_t i = 0; i < l->n_objects; i++)
		json_decref(l->objects[i]);
	free(l->objects);
	lease_roll_fini(&l->roll);
	free(l);
}
