#include "podvisor/io/server.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/io/listener.h"
#include "podvisor/wire/http1_write.h"
#include "podvisor/wire/websocket.h"

#define LISTENERS_MAX   4
#define BACKLOG         128
#define HEADERS_SIZE    8192 /* all of a request's head */
#define FIELD_MAX       1024 /* of one field that is looked at */
#define IDLE_S          75 /* of a kept connection */
#define TIMEOUT_S       10 /* to send a head, or a body */
#define TX_SIZE         (128 * 1024)
#define OUT_KEPT        (256 * 1024) /* a buffer that grew beyond it is given back */
#define LIVE_PING_S     30
#define LIVE_HANGUP_S   75
#define FAREWELL_ROUNDS 8

enum state { IDLE, ASKED, WAITING, ANSWERING, ANSWERED, UPGRADED, DEAD };

struct server_listener {
	struct server *server;
	struct listener *listener;
	enum server_via via;
};

struct server {
	struct server_handler handler;
	struct loop *loop;
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct server_listener listeners[LISTENERS_MAX];
	size_t n_listeners;
	struct list exchanges;
	struct buf out; /* of the answer that is being written */
	bool freed;
	uv_idle_t farewell; /* after that: see destroy_context */
	int rounds;
	bool created; /* the adoption under way has made a connection */
};

/* One connection; one request at a time. */
struct server_exchange {
	struct list node;
	struct server *server;
	struct lws *wsi; /* NULL: not yet */
	void *data;
	enum server_via via;
	enum state state;
	bool head, close, taken; /* taken: the body is awaited before the request is told */
	size_t body; /* bytes of it so far */
	struct buf later; /* an answer given outside of the request */
};

static char last_words[160]; /* of libwebsockets, for the sentence of a failure */

static void on_log(int level, const char *line)
{
	(void)level;
	snprintf(last_words, sizeof(last_words), "%.*s", (int)strcspn(line, "\n"), line);
}

/* ---- requests ---- */

static const struct method {
	const char *name;
	int token;
} methods[] = {
	{"GET", WSI_TOKEN_GET_URI},
	{"HEAD", WSI_TOKEN_HEAD_URI},
	{"POST", WSI_TOKEN_POST_URI},
	{"PUT", WSI_TOKEN_PUT_URI},
	{"DELETE", WSI_TOKEN_DELETE_URI},
	{"PATCH", WSI_TOKEN_PATCH_URI},
	{"OPTIONS", WSI_TOKEN_OPTIONS_URI},
};

static const struct method *method_of(struct lws *wsi)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (lws_hdr_total_length(wsi, methods[i].token) > 0)
			return &methods[i];
	return NULL;
}

/* "" when absent or too long. */
static const char *field(struct lws *wsi, enum lws_token_indexes token, char *out, size_t size)
{
	out[0] = '\0';
	if (lws_hdr_copy(wsi, out, (int)size, token) < 0)
		out[0] = '\0';
	return out;
}

static size_t copy_args(struct lws *wsi, char *text, size_t size, const char **args)
{
	size_t n = 0;
	for (int i = 0; n < SERVER_ARGS_MAX && size > 1; i++) {
		int len = lws_hdr_copy_fragment(wsi, text, (int)size, WSI_TOKEN_HTTP_URI_ARGS, i);
		if (len < 0)
			break;
		if (len == 0)
			continue;
		args[n++] = text;
		text += len + 1;
		size -= (size_t)len + 1;
	}
	return n;
}

static bool is_in_list(const char *list, const char *word)
{
	const char *at = strcasestr(list, word);
	size_t n = strlen(word);
	return at && (at == list || strchr(" ,\t", at[-1])) && (!at[n] || strchr(" ,\t", at[n]));
}

/* Whether libwebsockets will end the connection after this answer, or we must.
 */
static bool must_close(struct lws *wsi, const struct method *m)
{
	char text[FIELD_MAX];
	if (strcmp(field(wsi, WSI_TOKEN_HTTP, text, sizeof(text)), "HTTP/1.1") != 0)
		return true;
	if (is_in_list(field(wsi, WSI_TOKEN_CONNECTION, text, sizeof(text)), "close"))
		return true;
	/* After a body, or the lack of a length, libwebsockets cannot be trusted to
	 * find the next head. */
	return strcmp(m->name, "GET") != 0 || lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH) > 0 ||
	       lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) > 0;
}

static void tell_request(struct server_exchange *x, const struct method *m, bool websocket)
{
	struct lws *wsi = x->wsi;
	char path[HEADERS_SIZE], text[HEADERS_SIZE];
	char accept[FIELD_MAX], authorization[FIELD_MAX], origin[FIELD_MAX], host[FIELD_MAX];
	const char *args[SERVER_ARGS_MAX];
	struct server_request r = {
		.via = x->via,
		.method = m->name,
		.path = field(wsi, (enum lws_token_indexes)m->token, path, sizeof(path)),
		.args = args,
		.n_args = copy_args(wsi, text, sizeof(text), args),
		.accept = field(wsi, WSI_TOKEN_HTTP_ACCEPT, accept, sizeof(accept)),
		.authorization = field(wsi, WSI_TOKEN_HTTP_AUTHORIZATION, authorization, sizeof(authorization)),
		.origin = field(wsi, WSI_TOKEN_ORIGIN, origin, sizeof(origin)),
		.host = field(wsi, WSI_TOKEN_HOST, host, sizeof(host)),
		.websocket = websocket,
		.no_waiting = lws_hdr_total_length(wsi, WSI_TOKEN_UPGRADE) > 0,
	};
	x->state = ASKED;
	x->head = strcmp(m->name, "HEAD") == 0;
	x->close = must_close(wsi, m);
	x->server->handler.request(x->server->handler.ctx, x, &r);
	explicit_bzero(authorization, sizeof(authorization));
}

/* ---- answers ---- */

static int compose(struct buf *out, const struct server_exchange *x, const struct server_answer *a)
{
	buf_printf(out,
		"HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: "
		"%zu\r\nCache-Control: no-store\r\n"
		"X-Content-Type-Options: nosniff\r\n%s%s\r\n",
		a->status, http1_reason(a->status), a->type, a->body.len, x->close ? "Connection: close\r\n" : "",
		a->headers ? a->headers : "");
	if (!x->head)
		buf_put(out, a->body.at, a->body.len);
	return out->failed;
}

/* Bytes go out at once, or libwebsockets keeps what the peer does not take yet.
 * Returns what a callback returns: nonzero ends the connection. */
static int send_answer(struct server_exchange *x, struct buf *bytes)
{
	int n = lws_write(x->wsi, (unsigned char *)bytes->data, bytes->len, LWS_WRITE_HTTP_FINAL);
	x->state = IDLE;
	if (n < 0 || x->close)
		return -1;
	return lws_http_transaction_completed(x->wsi) ? -1 : 0;
}

static void give_back(struct buf *b)
{
	if (b->cap > OUT_KEPT)
		buf_fini(b);
	buf_clear(b);
}

void server_reply(struct server_exchange *x, const struct server_answer *a)
{
	static const struct server_answer too_big = {
		.status = 500, .type = "text/plain", .body = {"the answer is too big\n", 22}};
	bool later = x->state == WAITING;
	if (x->state != ASKED && !later)
		return;
	struct buf *out = later ? &x->later : &x->server->out;
	if (later)
		x->close = true;
	buf_clear(out);
	if (compose(out, x, a) < 0) {
		buf_fini(out);
		compose(out, x, &too_big);
	}
	x->state = later ? ANSWERING : ANSWERED;
	if (later) {
		lws_rx_flow_control(x->wsi, 1);
		lws_callback_on_writable(x->wsi);
	}
}

void server_upgrade(struct server_exchange *x)
{
	if (x->state == ASKED)
		x->state = UPGRADED;
}

/* After request(): sends what was answered, or waits without reading on: what
 * stays unread in that state would otherwise make the loop spin. */
static int after_request(struct server_exchange *x)
{
	if (x->state == ANSWERED) {
		int rc = send_answer(x, &x->server->out);
		give_back(&x->server->out);
		return rc;
	}
	x->state = WAITING;
	lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
	lws_rx_flow_control(x->wsi, 0);
	return 0;
}

static int on_request(struct server_exchange *x)
{
	const struct method *m = method_of(x->wsi);
	if (!m)
		return -1;
	tell_request(x, m, false);
	return after_request(x);
}

static int refuse(struct server_exchange *x, int status, const char *text)
{
	x->close = true;
	x->state = ASKED;
	struct server_answer a = {.status = status, .type = "text/plain; charset=utf-8", .body = span_of(text)};
	server_reply(x, &a);
	return after_request(x);
}

static int on_http(struct server_exchange *x)
{
	char text[32];
	long long body = atoll(field(x->wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH, text, sizeof(text)));
	if (body < 0 || body > SERVER_BODY_MAX)
		return refuse(x, 413, "a request here has no body\n");
	x->taken = body > 0;
	x->body = 0;
	return x->taken ? 0 : on_request(x);
}

static int on_body(struct server_exchange *x, size_t n)
{
	x->body += n;
	return x->body > SERVER_BODY_MAX ? -1 : 0;
}

static int on_body_complete(struct server_exchange *x)
{
	if (!x->taken)
		return 0;
	x->taken = false;
	return on_request(x);
}

/* 0: becomes a WebSocket; 1: was answered; -1: ends. */
static int on_upgrade(struct server_exchange *x, const char *protocol)
{
	const struct method *m = method_of(x->wsi);
	bool websocket = strcasecmp(protocol, "websocket") == 0;
	if (!m || (!websocket && strcasecmp(protocol, "h2c") != 0))
		return -1;
	/* Offered HTTP/2 one may stay with HTTP/1.1 (RFC 9110 7.8). */
	tell_request(x, m, websocket && strcmp(m->name, "GET") == 0);
	if (x->state == UPGRADED)
		return 0;
	if (x->state == ASKED)
		return refuse(x, 501, "not together with Upgrade\n");
	after_request(x);
	return -1;
}

static int on_http_writable(struct server_exchange *x)
{
	if (x->state != ANSWERING)
		return 0;
	int rc = send_answer(x, &x->later);
	buf_fini(&x->later);
	return rc;
}

/* ---- live ones ---- */

static int on_live_writable(struct server_exchange *x)
{
	char bytes[LWS_PRE + SERVER_MESSAGE_MAX];
	struct buf out;
	if (x->server->freed)
		return -1;
	buf_init(&out, SERVER_MESSAGE_MAX);
	int rc = 0;
	if (x->server->handler.next(x->server->handler.ctx, x, &out)) {
		memcpy(bytes + LWS_PRE, out.data, out.len);
		rc = lws_write(x->wsi, (unsigned char *)bytes + LWS_PRE, out.len, LWS_WRITE_TEXT) < 0 ? -1 : 0;
		lws_callback_on_writable(x->wsi);
	}
	buf_fini(&out);
	return rc;
}

void server_wake(struct server_exchange *x)
{
	if (x->state == UPGRADED && x->wsi)
		lws_callback_on_writable(x->wsi);
}

/* libwebsockets destroys without a word: RFC 6455 7.4.1 has one for it. The
 * frame is ours, and whole frames only are in front of it: nothing is half
 * sent. */
static void say_goodbye(struct server_exchange *x)
{
	struct buf frame;
	buf_init(&frame, WEBSOCKET_HEAD_BYTES + WEBSOCKET_CONTROL_BYTES);
	if (x->state == UPGRADED && x->wsi && !lws_partial_buffered(x->wsi) &&
		websocket_close_frame(&frame, WEBSOCKET_GOING_AWAY, "podvisor ends", NULL) == 0)
		(void)!send(lws_get_socket_fd(x->wsi), frame.data, frame.len, MSG_DONTWAIT | MSG_NOSIGNAL);
	buf_fini(&frame);
}

/* ---- connections ---- */

static void end_exchange(struct server_exchange *x)
{
	bool told = x->state == WAITING || x->state == UPGRADED;
	x->state = DEAD;
	if (told && !x->server->freed)
		x->server->handler.gone(x->server->handler.ctx, x);
}

static void free_exchange(struct server_exchange *x)
{
	end_exchange(x);
	list_remove(&x->node);
	buf_fini(&x->later);
	free(x);
}

static int on_event(struct server_exchange *x, struct lws *wsi, enum lws_callback_reasons why, void *in, size_t len)
{
	switch (why) {
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		x->wsi = wsi;
		return 0;
	case LWS_CALLBACK_HTTP:
		return on_http(x);
	case LWS_CALLBACK_HTTP_BODY:
		return on_body(x, len);
	case LWS_CALLBACK_HTTP_BODY_COMPLETION:
		return on_body_complete(x);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return on_http_writable(x);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return on_upgrade(x, in);
	case LWS_CALLBACK_ESTABLISHED:
		lws_callback_on_writable(wsi);
		return 0;
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return on_live_writable(x);
	case LWS_CALLBACK_CLOSED:
	case LWS_CALLBACK_CLOSED_HTTP:
		end_exchange(x);
		return 0;
	case LWS_CALLBACK_WSI_DESTROY:
		free_exchange(x);
		return 0;
	default:
		return 0;
	}
}

static int on_callback(struct lws *wsi, enum lws_callback_reasons why, void *user, void *in, size_t len)
{
	(void)user;
	if (why == LWS_CALLBACK_WSI_CREATE) {
		struct server *s = lws_context_user(lws_get_context(wsi));
		s->created = true;
		return 0;
	}
	struct server_exchange *x = wsi ? lws_get_opaque_user_data(wsi) : NULL;
	return x ? on_event(x, wsi, why, in, len) : 0;
}

static void on_accepted(void *ctx, int fd, const struct sockaddr_storage *peer, socklen_t peer_len)
{
	(void)peer;
	(void)peer_len;
	struct server_listener *l = ctx;
	struct server *s = l->server;
	struct server_exchange *x = calloc(1, sizeof(*x));
	if (!x) {
		close(fd);
		return;
	}
	x->server = s;
	x->via = l->via;
	buf_init(&x->later, SERVER_ANSWER_MAX);
	list_append(&s->exchanges, &x->node);
	s->created = false;
	lws_adopt_desc_t adopt = {
		.vh = s->vhost, .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP, .fd = {.sockfd = fd}, .opaque = x};
	/* On failure it has closed fd; what it had made it will destroy, and x with
	 * it. */
	if (!lws_adopt_descriptor_vhost_via_info(&adopt) && !s->created)
		free_exchange(x);
}

/* ---- birth and end ---- */

static const struct lws_protocols protocols[] = {
	{.name = "http", .callback = on_callback, .rx_buffer_size = SERVER_BODY_MAX, .tx_packet_size = TX_SIZE}, {0}};

static const lws_retry_bo_t liveness = {.secs_since_valid_ping = LIVE_PING_S, .secs_since_valid_hangup = LIVE_HANGUP_S};

/* What libwebsockets 4.1 opens first, and crashes without: at once, or, for want of its eventfd, when it is destroyed.
 */
static int try_descriptors(void)
{
	int random = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	int event = random < 0 ? -1 : eventfd(0, EFD_CLOEXEC);
	int rc = event < 0 ? -errno : 0;
	if (random >= 0)
		close(random);
	if (event >= 0)
		close(event);
	return rc;
}

static int make_context(struct server *s, struct loop *loop, struct err *err)
{
	void *loops[] = {&loop->uv};
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.protocols = protocols,
		.vhost_name = "control",
		.gid = (gid_t)-1,
		.uid = (uid_t)-1,
		.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
		.foreign_loops = loops,
		.fd_limit_per_thread = SERVER_CONNECTIONS_MAX,
		.max_http_header_data = HEADERS_SIZE,
		.max_http_header_pool = SERVER_CONNECTIONS_MAX,
		.timeout_secs = TIMEOUT_S,
		.keepalive_timeout = IDLE_S,
		.retry_and_idle_policy = &liveness,
		.user = s,
	};
	lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
	last_words[0] = '\0';
	s->context = lws_create_context(&info);
	s->vhost = s->context ? lws_create_vhost(s->context, &info) : NULL;
	if (s->vhost)
		return 0;
	return err_set(err, -ENOSYS, "libwebsockets does not start (is libwebsockets-evlib-uv installed?)%s%s",
		last_words[0] ? ": " : "", last_words);
}

int server_new(struct server **out, struct loop *loop, const struct server_handler *handler, struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(err, -ENOMEM, "out of memory");
	s->handler = *handler;
	s->loop = loop;
	list_init(&s->exchanges);
	buf_init(&s->out, SERVER_ANSWER_MAX);
	int rc = try_descriptors();
	if (rc < 0)
		err_set(err, rc, "no room for a server: %s", strerror(-rc));
	else
		rc = make_context(s, loop, err);
	if (rc < 0) {
		server_free(s);
		return rc;
	}
	*out = s;
	return 0;
}

static int open_listener(struct server_listener *l, const char *address, struct err *err)
{
	mode_t mask = umask(0177); /* so that the path never exists with more than 0600 */
	int rc = listener_new(&l->listener, l->server->loop, address, BACKLOG, on_accepted, l, err);
	umask(mask);
	if (rc == -EADDRINUSE && l->via == SERVER_UNIX)
		err_set(err, rc, "another podvisor answers at %s (stop it, or choose another path)", address + 5);
	return rc;
}

int server_listen(struct server *s, const char *address, struct err *err)
{
	if (s->n_listeners == LISTENERS_MAX)
		return err_set(err, -ENOSPC, "cannot listen at more than %d addresses", LISTENERS_MAX);
	struct server_listener *l = &s->listeners[s->n_listeners];
	l->server = s;
	l->via = strncmp(address, "unix:", 5) == 0 ? SERVER_UNIX : SERVER_TCP;
	int rc = open_listener(l, address, err);
	s->n_listeners += rc == 0;
	return rc;
}

static size_t find_unix(const struct server *s)
{
	size_t i = 0;
	while (i < s->n_listeners && s->listeners[i].via != SERVER_UNIX)
		i++;
	return i;
}

const char *server_path(const struct server *s)
{
	size_t i = find_unix(s);
	return i < s->n_listeners ? listener_path(s->listeners[i].listener) : NULL;
}

bool server_is_found(const struct server *s)
{
	size_t i = find_unix(s);
	return i == s->n_listeners || listener_is_found(s->listeners[i].listener);
}

/* Who has connected already is in the old one's backlog. */
int server_listen_again(struct server *s, struct err *err)
{
	struct server_listener *l = &s->listeners[find_unix(s)];
	struct listener *old = l->listener;
	char address[160];
	snprintf(address, sizeof(address), "unix:%s", listener_path(old));
	int rc = open_listener(l, address, err);
	if (rc < 0) {
		l->listener = old;
		return rc;
	}
	listener_take_backlog(old);
	listener_free(old);
	return 0;
}

const char *server_address(const struct server *s, size_t i)
{
	return i < s->n_listeners ? listener_address(s->listeners[i].listener) : NULL;
}

static void on_farewell_closed(uv_handle_t *handle)
{
	struct server *s = handle->data;
	lws_context_destroy(s->context);
	buf_fini(&s->out);
	free(s);
}

static void on_farewell(uv_idle_t *idle)
{
	struct server *s = idle->data;
	if (s->rounds < FAREWELL_ROUNDS)
		s->rounds++;
	else if (list_empty(&s->exchanges))
		uv_close((uv_handle_t *)idle, on_farewell_closed);
}

/* On a foreign loop libwebsockets 4.1 closes its connections, after the last of them
 * its own handles, each in a round of the loop; then it is to be destroyed a second
 * time, and only that frees its memory. Nobody tells when the handles are closed. */
static void destroy_context(struct server *s)
{
	lws_context_destroy(s->context);
	uv_idle_init(&s->loop->uv, &s->farewell);
	s->farewell.data = s;
	uv_idle_start(&s->farewell, on_farewell);
}

void server_free(struct server *s)
{
	if (!s)
		return;
	s->freed = true;
	for (size_t i = 0; i < s->n_listeners; i++)
		listener_free(s->listeners[i].listener);
	LIST_EACH (node, &s->exchanges)
		say_goodbye(LIST_ENTRY(node, struct server_exchange, node));
	if (s->context)
		destroy_context(s);
	else
		free(s);
}

bool server_is_abandoned(const struct server_exchange *x)
{
	char byte;
	return x->wsi && recv(lws_get_socket_fd(x->wsi), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void server_drop(struct server_exchange *x)
{
	x->state = DEAD;
	lws_set_timeout(x->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
	/* Outside of its callbacks nobody looks at its timers before something
	 * happens. */
	lws_cancel_service(x->server->context);
}

void server_set_data(struct server_exchange *x, void *data)
{
	x->data = data;
}

void *server_data(const struct server_exchange *x)
{
	return x->data;
}
