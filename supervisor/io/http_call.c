#include "podvisor/io/http_call.h"

/* The checking macros of gcc's build name the functions that we only have pointers to. */
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "podvisor/io/library.h"

#define CURL_CALLS(X)          \
	X(global_init)         \
	X(easy_init)           \
	X(easy_setopt)         \
	X(easy_getinfo)        \
	X(easy_strerror)       \
	X(easy_cleanup)        \
	X(multi_init)          \
	X(multi_add_handle)    \
	X(multi_remove_handle) \
	X(multi_perform)       \
	X(multi_poll)          \
	X(multi_info_read)     \
	X(multi_cleanup)

static struct {
#define CURL_POINTER(name) __typeof__(curl_##name) *name;
	CURL_CALLS(CURL_POINTER)
#undef CURL_POINTER
} curl;

static int load(struct err *err)
{
	static const struct library_call wanted[] = {
#define CURL_CALL(name) {"curl_" #name, &curl.name},
		CURL_CALLS(CURL_CALL)
#undef CURL_CALL
	};
	if (curl.multi_cleanup)
		return 0;
	int rc = library_load("libcurl.so.4", wanted, sizeof(wanted) / sizeof(wanted[0]), err);
	if (rc == 0 && curl.global_init(CURL_GLOBAL_NOTHING))
		rc = err_set(err, -ELIBACC, "libcurl does not initialise");
	return rc;
}

int http_call_escape(char *target, size_t size, const char *text)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
	size_t len = strlen(target);
	for (; *text; text++) {
		if (len + 4 > size)
			return -ENAMETOOLONG;
		if (strchr(unreserved, *text))
			target[len++] = *text;
		else
			len += (size_t)snprintf(target + len, 4, "%%%02X", (unsigned char)*text);
		target[len] = '\0';
	}
	return 0;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *ctx)
{
	struct buf *body = ctx;
	return buf_put(body, bytes, size * n) < 0 ? 0 : size * n;
}

static CURL *make(const char *socket_path, struct http_call *call, ms_t timeout_ms)
{
	char url[HTTP_CALL_TARGET_MAX + 32];
	CURL *easy = curl.easy_init();
	if (!easy)
		return NULL;
	snprintf(url, sizeof(url), "http://localhost%s", call->target);
	curl.easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, socket_path);
	curl.easy_setopt(easy, CURLOPT_URL, url);
	curl.easy_setopt(easy, CURLOPT_PROXY, ""); /* the environment's has no part in this */
	curl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl.easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	curl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
	curl.easy_setopt(easy, CURLOPT_WRITEDATA, &call->body);
	curl.easy_setopt(easy, CURLOPT_PRIVATE, (char *)call);
	if (strcmp(call->method, "POST") == 0) {
		curl.easy_setopt(easy, CURLOPT_POST, 1L);
		curl.easy_setopt(easy, CURLOPT_POSTFIELDS, "");
		curl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
	}
	return easy;
}

static int code_of(CURL *easy, CURLcode result)
{
	long os = 0;
	switch (result) {
	case CURLE_OK:
		return 0;
	case CURLE_COULDNT_CONNECT:
		curl.easy_getinfo(easy, CURLINFO_OS_ERRNO, &os);
		return os ? -(int)os : -ECONNREFUSED;
	case CURLE_OPERATION_TIMEDOUT:
		return -ETIMEDOUT;
	case CURLE_WRITE_ERROR:
		return -EMSGSIZE;
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		return -ECONNRESET;
	case CURLE_OUT_OF_MEMORY:
		return -ENOMEM;
	default:
		return -EPROTO;
	}
}

static int judge(CURL *easy, CURLcode result, struct err *err)
{
	struct http_call *call = NULL;
	long status = 0;
	int code = code_of(easy, result);
	curl.easy_getinfo(easy, CURLINFO_PRIVATE, &call);
	curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
	call->status = (int)status;
	switch (code) {
	case 0:
		return 0;
	case -EPROTO:
		return err_set(err, code, "%s", curl.easy_strerror(result));
	case -ECONNRESET:
		return err_set(err, code, "the answer broke off");
	case -EMSGSIZE:
		return err_set(err, code, "the answer is larger than %zu bytes", call->body.max);
	default:
		return err_set(err, code, "%s", strerror(-code));
	}
}

enum { TICK_MS = 250 };

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Tells for how long nothing else is to happen. */
static int tick(const struct http_call_wait *wait, int64_t *next)
{
	if (!wait->tick)
		return 1000;
	int64_t now = now_ms();
	if (now >= *next) {
		wait->tick(wait->ctx);
		*next = now_ms() + TICK_MS;
		return TICK_MS;
	}
	return (int)(*next - now);
}

/* Until all are done, one failed, or somebody cancels. */
static int perform(CURLM *multi, const struct http_call_wait *wait, struct err *err)
{
	struct curl_waitfd cancel = {.fd = wait->cancel_fd, .events = CURL_WAIT_POLLIN};
	int running = 1, waiting;
	int64_t next = now_ms() + TICK_MS;
	for (;;) {
		if (curl.multi_perform(multi, &running))
			return err_set(err, -EPROTO, "libcurl gave up");
		for (CURLMsg *m; (m = curl.multi_info_read(multi, &waiting));) {
			int rc = m->msg == CURLMSG_DONE ? judge(m->easy_handle, m->data.result, err) : 0;
			if (rc < 0)
				return rc;
		}
		if (!running)
			return 0;
		cancel.revents = 0;
		if (curl.multi_poll(multi, &cancel, wait->cancel_fd >= 0, tick(wait, &next), NULL))
			return err_set(err, -EPROTO, "libcurl gave up");
		if (cancel.revents)
			return err_set(err, -ECANCELED, "cancelled");
	}
}

int http_call_all(
	const char *socket_path, struct http_call *calls, size_t n, ms_t timeout_ms, int cancel_fd, struct err *err)
{
	const struct http_call_wait wait = {.cancel_fd = cancel_fd};
	return http_call_all_waiting(socket_path, calls, n, timeout_ms, &wait, err);
}

int http_call_all_waiting(const char *socket_path, struct http_call *calls, size_t n, ms_t timeout_ms,
	const struct http_call_wait *wait, struct err *err)
{
	/* libcurl would take no path for no socket, and go to port 80 of this machine. */
	int rc = socket_path[0] ? load(err) : err_set(err, -ENOENT, "no path");
	if (rc < 0)
		return rc;
	CURLM *multi = curl.multi_init();
	CURL **made = calloc(n + 1, sizeof(*made));
	for (size_t i = 0; multi && made && rc == 0 && i < n; i++) {
		made[i] = make(socket_path, &calls[i], timeout_ms);
		if (made[i])
			curl.multi_add_handle(multi, made[i]);
		else
			rc = err_set(err, -ENOMEM, "out of memory");
	}
	if (!multi || !made)
		rc = err_set(err, -ENOMEM, "out of memory");
	if (rc == 0)
		rc = perform(multi, wait, err);
	for (size_t i = 0; made && i < n && made[i]; i++) {
		curl.multi_remove_handle(multi, made[i]);
		curl.easy_cleanup(made[i]);
	}
	free(made);
	if (multi)
		curl.multi_cleanup(multi);
	return rc;
}
