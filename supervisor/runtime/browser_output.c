#include "podvisor/runtime/browser_output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define LAST_MAX       160

struct browser_output {
	const struct context *context;
	uint64_t run;
	int fd, log_fd; /* log_fd -1: nobody listens */
	uv_poll_t poll;
	char line[LINE_MAX_BYTES];
	size_t len;
	bool overlong, refused, fatal, closed; /* fatal: last says why it aborts */
	char last[LAST_MAX];
	ms_t second; /* in which passed counts */
	int passed;
	unsigned long dropped;
};

static void pass_on(struct browser_output *o, const char *line, size_t n)
{
	/* Ours alone and non-blocking: what the log does not take now is lost, and the pipe to it is never long full.
	 */
	if (o->log_fd >= 0 && write(o->log_fd, line, n) < 0 && errno != EAGAIN) {
		close(o->log_fd);
		o->log_fd = -1;
	}
}

static void tell_dropped(struct browser_output *o)
{
	char text[96];
	int n = snprintf(text, sizeof(text), "podvisor: %lu more lines of it in one second\n", o->dropped);
	if (o->dropped)
		pass_on(o, text, (size_t)n);
	o->dropped = 0;
}

static bool may_pass(struct browser_output *o)
{
	ms_t second = loop_now() / 1000;
	if (second != o->second) {
		tell_dropped(o);
		o->second = second;
		o->passed = 0;
	}
	if (o->passed < BROWSER_OUTPUT_RATE) {
		o->passed++;
		return true;
	}
	o->dropped++;
	return false;
}

/* Chrome's own lines begin with [pid:tid:date/time:LEVEL:file:line], which is no news to people. */
static const char *after_prefix(const char *line)
{
	const char *end = line[0] == '[' ? strstr(line, "] ") : NULL;
	return end ? end + 2 : line;
}

static bool says_no_sandbox(const char *line)
{
	static const char *const words[] = {
		"No usable sandbox", "Failed to move to new namespace", "Running as root without --no-sandbox"};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(line, words[i]))
			return true;
	return false;
}

/* After an abort Chrome prints its stack; the reason stands above it. */
static bool is_stack(const char *line)
{
	return line[0] == '#' || line[0] == ' ' || line[0] == '\t' || !strncmp(line, "[end of stack trace]", 20) ||
	       !strncmp(line, "Received signal", 15);
}

/* What comes behind the reason of an abort is its consequence, or crashpad's complaint of its own. */
static void keep_last(struct browser_output *o)
{
	const char *text = after_prefix(o->line);
	const char *level = text > o->line ? strstr(o->line, ":FATAL:") : NULL;
	bool fatal = level && level < text;
	if (o->fatal || (is_stack(text) && !fatal))
		return;
	o->fatal = fatal;
	snprintf(o->last, sizeof(o->last), "%.159s", text);
}

static void take_line(struct browser_output *o)
{
	o->line[o->len] = '\0';
	if (!o->len)
		return;
	o->refused |= says_no_sandbox(o->line);
	keep_last(o);
	o->line[o->len] = '\n';
	if (may_pass(o))
		pass_on(o, o->line, o->len + 1);
}

static void take(struct browser_output *o, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\n') {
			if (!o->overlong)
				take_line(o);
			o->len = 0;
			o->overlong = false;
		} else if (o->len < sizeof(o->line) - 1) {
			o->line[o->len++] = bytes[i];
		} else if (!o->overlong) {
			take_line(o);
			o->overlong = true;
		}
	}
}

/* False when there is no more now. */
static bool read_once(struct browser_output *o)
{
	char bytes[8192];
	ssize_t n = read(o->fd, bytes, sizeof(bytes));
	if (n > 0)
		take(o, bytes, (size_t)n);
	if (n == 0)
		uv_poll_stop(&o->poll);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void on_readable(uv_poll_t *handle, int status, int events)
{
	(void)status;
	(void)events;
	read_once(handle->data);
}

void browser_output_drain(struct browser_output *o)
{
	/* A pipe holds 1 MiB at most: bounded even against one who keeps writing. */
	for (int i = 0; i < 128 && read_once(o); i++)
		;
	if (o->len && !o->overlong)
		take_line(o);
	o->len = 0;
	tell_dropped(o);
}

const char *browser_output_last(const struct browser_output *o)
{
	return o->last;
}

bool browser_output_sandbox_refused(const struct browser_output *o)
{
	return o->refused;
}

static int open_log(const struct context *c, const char *name, uint64_t run)
{
	if (!c->output)
		return -1;
	int fd = c->output->open(c->output->ctx, name, UINT32_MAX, run, 1, NULL, NULL);
	if (fd >= 0)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

int browser_output_open(struct browser_output **out, const struct context *c, const char *name, uint64_t run,
	int *child_fd, struct err *err)
{
	struct browser_output *o = calloc(1, sizeof(*o));
	int ends[2];
	if (!o)
		return err_set(err, -ENOMEM, "out of memory");
	if (pipe2(ends, O_CLOEXEC) < 0) {
		int rc = -errno;
		free(o);
		return err_set(err, rc, "no pipe for its output: %s", strerror(-rc));
	}
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	o->context = c;
	o->run = run;
	o->fd = ends[0];
	o->log_fd = open_log(c, name, run);
	o->poll.data = o;
	uv_poll_init(&c->loop->uv, &o->poll, o->fd);
	uv_poll_start(&o->poll, UV_READABLE, on_readable);
	*child_fd = ends[1];
	*out = o;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct browser_output *o = handle->data;
	close(o->fd);
	free(o);
}

void browser_output_close(struct browser_output *o)
{
	if (!o || o->closed)
		return;
	o->closed = true;
	if (o->log_fd >= 0)
		close(o->log_fd);
	if (o->context->output)
		o->context->output->ended(o->context->output->ctx, o->run);
	uv_close((uv_handle_t *)&o->poll, on_closed);
}
