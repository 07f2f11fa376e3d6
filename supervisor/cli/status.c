#include "podvisor/cli/status.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "podvisor/cli/field.h"
#include "podvisor/cli/interrupt.h"
#include "podvisor/cli/output.h"
#include "podvisor/cli/picture.h"
#include "podvisor/cli/screen.h"
#include "podvisor/cli/supervisor.h"
#include "podvisor/cli/table.h"

enum { WATCH_MS = 1000, MEASURED_MS = 100 };

static int out_of_memory(const struct options *o)
{
	fprintf(stderr, "podvisor %s: out of memory\n", o->verb);
	return EX_SOFTWARE;
}

/* ---- once ---- */

/* Whether something runs whose use of memory has not been measured yet. */
static bool is_unmeasured(const json_t *status)
{
	const json_t *workers = json_object_get(status, "workers");
	for (size_t i = 0; i < json_array_size(workers); i++) {
		const json_t *w = json_array_get(workers, i);
		if (field_number(w, "pid") > 0 && json_is_null(json_object_get(w, "usage")))
			return true;
	}
	return false;
}

/* podvisor measures when it is asked: the answer that asked first comes before the figures. */
static int get_measured(struct supervisor *s, json_t **status)
{
	int code = supervisor_get_json(s, "/api/v1/status", status);
	if (code || !is_unmeasured(*status))
		return code;
	json_decref(*status);
	interrupt_wait(s->cancel_fd, MEASURED_MS);
	return supervisor_get_json(s, "/api/v1/status", status);
}

/* Takes status. */
static int show(const struct options *o, json_t *status)
{
	int columns = screen_columns(stdout);
	char *text = picture_text(status, table_wants_colour(stdout, o->color), columns);
	json_decref(status);
	if (!text)
		return out_of_memory(o);
	screen_put_lines(stdout, text, columns);
	free(text);
	return 0;
}

static int show_once(const struct options *o, struct supervisor *s)
{
	json_t *status;
	int code = get_measured(s, &status);
	if (code)
		return code;
	return o->given[OPTION_JSON] ? output_json(o->verb, status) : show(o, status);
}

/* ---- again and again ---- */

struct watch {
	const struct options *o;
	struct supervisor s;
	bool draws; /* in place, on a terminal */
	json_t *last; /* NULL before the first answer */
	bool lost; /* nobody answered the last time */
};

static void draw(struct watch *w)
{
	char *text = NULL;
	size_t size;
	bool coloured = table_wants_colour(stdout, w->o->color);
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return;
	if (w->lost) {
		table_put_state(to, coloured, "failed", w->s.said);
		fputs("; trying again. It was:\n\n", to);
	}
	picture_print(to, w->last, coloured, screen_columns(stdout));
	if (fclose(to) == 0)
		screen_draw(stdout, text);
	free(text);
}

static int tell(struct watch *w)
{
	if (w->draws) {
		draw(w);
		return 0;
	}
	if (w->lost)
		return 0; /* said on stderr when it was lost */
	int code = w->o->given[OPTION_JSON] ? output_json_line(w->o->verb, json_incref(w->last))
					    : show(w->o, json_incref(w->last));
	return code ? code : fflush(stdout) == 0 ? 0 : EX_SOFTWARE;
}

/* 0, the exit code, or negative: a signal interrupts. Who was there once is waited for: podvisor may come again,
 * and at another of its places. */
static int look(struct watch *w)
{
	json_t *status;
	int code = supervisor_get_json(&w->s, "/api/v1/status", &status);
	if (code == EX_UNAVAILABLE && w->last) {
		if (!w->lost && !w->draws)
			fprintf(stderr, "podvisor %s: %s; trying again\n", w->o->verb, w->s.said);
		w->lost = true;
		w->s.path[0] = '\0';
		return 0;
	}
	if (code)
		return code;
	json_decref(w->last);
	w->last = status;
	w->lost = false;
	w->s.said[0] = '\0';
	return 0;
}

static void pause_drawing(void)
{
	screen_leave(stdout);
	raise(SIGSTOP);
	screen_enter(stdout);
}

/* Until it is time to look again; false: it is to end. */
static bool wait_or_end(struct watch *w)
{
	bool more = interrupt_wait(w->s.cancel_fd, WATCH_MS);
	for (int signum; more && (signum = interrupt_take(w->s.cancel_fd));) {
		if (signum == SIGTSTP)
			pause_drawing();
		else if (signum != SIGWINCH)
			return false;
	}
	return true;
}

static int watch_on(struct watch *w)
{
	int code = 0;
	while (code == 0) {
		code = look(w);
		if (code == 0)
			code = tell(w);
		if (code <= 0 && !wait_or_end(w))
			return 0;
		code = code < 0 ? 0 : code;
	}
	return code;
}

static int watch(const struct options *o)
{
	struct watch w = {.o = o, .draws = screen_can_draw(stdout) && !o->given[OPTION_JSON]};
	supervisor_init(&w.s, o);
	w.s.cancel_fd = w.draws ? interrupt_open_drawing() : interrupt_open();
	w.s.quiet = true;
	setvbuf(stdout, NULL, _IOFBF, 256 << 10); /* one write a picture */
	int code = look(&w);
	if (code == 0 && w.draws)
		screen_enter(stdout);
	if (code == 0)
		code = tell(&w);
	if (code == 0 && wait_or_end(&w))
		code = watch_on(&w);
	if (w.draws && w.last)
		screen_leave(stdout);
	json_decref(w.last);
	if (code > 0 && w.s.said[0])
		fprintf(stderr, "podvisor %s: %s\n", o->verb, w.s.said);
	return code < 0 ? 0 : code;
}

int status_run(const struct options *o)
{
	struct supervisor s;
	supervisor_init(&s, o);
	return o->given[OPTION_WATCH] ? watch(o) : show_once(o, &s);
}
