#include "podvisor/model/journal.h"

#include <stdarg.h>
#include <stdio.h>

void journal_add(struct journal *j, ms_t now, enum log_level level, enum thing thing, const char *subject,
	const char *what, const char *fmt, ...)
{
	uint64_t seq = ++j->last_seq;
	struct journal_entry *e = &j->entries[seq % JOURNAL_SIZE];
	*e = (struct journal_entry){.seq = seq, .at = now, .level = level, .thing = thing};
	snprintf(e->subject, sizeof(e->subject), "%s", subject);
	snprintf(e->what, sizeof(e->what), "%s", what);
	va_list args;
	va_start(args, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, args);
	va_end(args);
	if (j->on_entry)
		j->on_entry(j->ctx, e);
}

const struct journal_entry *journal_get(const struct journal *j, uint64_t seq)
{
	const struct journal_entry *e = &j->entries[seq % JOURNAL_SIZE];
	return seq && e->seq == seq ? e : NULL;
}

uint64_t journal_oldest(const struct journal *j)
{
	return j->last_seq < JOURNAL_SIZE ? 1 : j->last_seq - JOURNAL_SIZE + 1;
}
