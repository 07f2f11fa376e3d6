#include "podvisor/runtime/last_words.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "podvisor/base/plain.h"
#include "podvisor/base/utf8.h"
#include "podvisor/runtime/termination.h"

/* A panic has no world to ask. */
static char remembered[PATH_MAX];

void last_words_prepare(struct world *w, ms_t now)
{
	const char *path = w->config->shutdown.termination_log;
	struct err err;
	if (strcmp(remembered, path ? path : "") == 0)
		return;
	snprintf(remembered, sizeof(remembered), "%s", path ? path : "");
	int rc = path ? termination_check(path, &err) : 0;
	if (rc)
		journal_add(&w->journal, now, rc > 0 ? LOG_INFO : LOG_WARN, THING_POD, "", "termination-log",
			"no termination log: %s", err.text);
}

/* A sentence that was cut to fit its field may end inside a character. */
static void put_sentence(struct buf *out, const char *sentence)
{
	plain_put(out, (struct span){sentence, utf8_cut(sentence, strlen(sentence))});
	buf_putc(out, '\n');
}

static void put_reason(const struct world *w, struct buf *out)
{
	const char *haste = w->death[0] ? drain_haste(&w->drain) : NULL;
	if (w->death[0])
		buf_printf(out, "podvisor ended with code %d: ", w->exit_code);
	put_sentence(out, w->death[0] ? w->death : drain_ending(&w->drain));
	if (haste)
		buf_printf(out, "what still ran was killed: %s\n", haste);
	if (w->held_up[0]) {
		buf_puts(out, "shutdown.deadline was used up by ");
		put_sentence(out, w->held_up);
	}
	if (w->drain.summary[0]) {
		buf_puts(out, "drain: ");
		put_sentence(out, w->drain.summary);
	}
}

void last_words_write(const struct world *w, struct logs *logs)
{
	const char *path = w->config->shutdown.termination_log;
	struct buf text;
	struct err err;
	buf_init(&text, 64 << 10);
	put_reason(w, &text);
	if (w->death_slot < w->n_workers && w->workers[w->death_slot].config)
		logs_last_words(logs, w->workers[w->death_slot].name, TERMINATION_MAX - text.len, &text);
	if (path && termination_write(path, (struct span){buf_str(&text), text.len}, &err) < 0)
		logs_say(logs, LOG_WARN, THING_POD, "", "the termination log was not written: %s", err.text);
	buf_fini(&text);
}

/* Its sentences are on stderr already: where they cannot be kept as well, that is no news. */
void last_words_of_a_start(const char *path, const char *text)
{
	struct buf out;
	struct err err;
	buf_init(&out, 64 << 10);
	buf_puts(&out, "podvisor never started: ");
	for (size_t n; *text; text += n + (text[n] == '\n')) {
		n = strcspn(text, "\n");
		plain_put(&out, (struct span){text, n});
		buf_putc(&out, '\n');
	}
	if (path && termination_write(path, (struct span){buf_str(&out), out.len}, &err) < 0)
		fprintf(stderr, "podvisor: the termination log was not written: %s\n", err.text);
	buf_fini(&out);
}

void last_words_of_a_panic(const char *why)
{
	char text[256];
	snprintf(text, sizeof(text), "podvisor ended with code 70: %s\n", why);
	if (remembered[0] && termination_write(remembered, span_of(text), NULL) < 0)
		return;
}
