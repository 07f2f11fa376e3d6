#include "podvisor/runtime/announcer.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void say(const struct announcer *a, const char *text)
{
	outer_notify_send(a->to, text, strlen(text));
}

static void say_stopping(struct announcer *a, const struct world *w)
{
	char text[sizeof(w->drain.why) + 64];
	snprintf(text, sizeof(text), "STOPPING=1\nSTATUS=stopping: %s", w->drain.why);
	text[11 + strcspn(text + 11, "\n")] = '\0'; /* a reason is one line */
	say(a, text);
	a->stopping = true;
}

void announcer_turned(struct announcer *a, const struct world *w)
{
	if (!a->to || a->stopping)
		return;
	if (w->drain.shutdown) {
		say_stopping(a, w);
	} else if (w->all_ready_once && !a->ready) {
		say(a, "READY=1\nSTATUS=everything critical is ready");
		a->ready = true;
	}
}

/* sd_notify(3): the time stamp tells an old RELOADING=1 from a new one (Type=notify-reload). */
void announcer_reloading(struct announcer *a)
{
	char text[64];
	struct timespec now;
	if (!a->ready || a->stopping)
		return;
	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%lld",
		(long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	say(a, text);
}

/* READY=1 ends a reload; before everything is ready it would be a lie. */
void announcer_reloaded(struct announcer *a)
{
	if (a->ready && !a->stopping)
		say(a, "READY=1");
}
