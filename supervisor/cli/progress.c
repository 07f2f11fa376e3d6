#include "podvisor/cli/progress.h"

#include <stdlib.h>
#include <string.h>

#include "podvisor/cli/screen.h"

#define OVER_AGAIN "\r\033[K"

/* A line that stays is for waits that are worth one: from the second second on. */
enum { ASK_MS = 2000, TICKS_UNTOLD = 8 };

static void draw(struct progress *p, const char *text)
{
	fputs(OVER_AGAIN, stderr);
	screen_put_line(stderr, text, screen_columns(stderr) - 1);
	fflush(stderr);
	p->shown = true;
}

/* Takes text. */
static void tell(struct progress *p, char *text)
{
	if (!p->told || strcmp(p->told, text) != 0)
		fprintf(stderr, "podvisor %s\n", text);
	free(p->told);
	p->told = text;
}

static void show(struct progress *p, const json_t *answer)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	if (!to)
		return;
	p->describe(to, answer, !p->drawn, p->ctx);
	if (fclose(to) != 0) {
		free(text);
	} else if (p->drawn) {
		draw(p, text);
		free(text);
	} else {
		tell(p, text);
	}
}

/* Through a supervisor of its own: the one that waits is in the middle of its question. */
static void tick(void *ctx)
{
	struct progress *p = ctx;
	struct supervisor s = *p->s;
	json_t *answer;
	if (!p->drawn && ++p->ticks < TICKS_UNTOLD)
		return;
	s.quiet = true;
	s.tick = NULL;
	struct http_call call;
	supervisor_call(&call, "GET", "%s", p->target);
	if (supervisor_ask(&s, &call, ASK_MS) == 0 && call.status == 200 && (answer = supervisor_json(&call))) {
		show(p, answer);
		json_decref(answer);
	}
	buf_fini(&call.body);
}

void progress_begin(struct progress *p, struct supervisor *s)
{
	p->s = s;
	p->drawn = screen_can_draw(stderr);
	p->shown = false;
	p->ticks = 0;
	p->told = NULL;
	if (!s->json) {
		s->tick = tick;
		s->tick_ctx = p;
	}
}

void progress_end(struct progress *p)
{
	p->s->tick = NULL;
	if (p->shown)
		fputs(OVER_AGAIN, stderr);
	free(p->told);
	p->told = NULL;
}
