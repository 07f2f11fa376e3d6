#include "podvisor/runtime/browser_janitor.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/io/file.h"

#define LOOK_MS       10000 /* between two looks, at the most */
#define LOOK_LEAST_MS 200
#define LOOKS_TO_IDLE 4 /* at least so many while a page is idle ... */
#define LOOKS_TO_SPIN 6 /* ... and while a process spins */
#define ANSWER_MS     5000 /* for a page that is asked whether it hangs */
#define PAGES         256 /* of one look; each asked at most */
#define PIDS          128
#define SUSPECTS      16 /* of one time */
#define CPU_SLACK_S   0.011 /* of two clocks that tick in 10 ms */

/* A look is one command after the other. */
enum step { STEP_NONE, STEP_CONTEXTS, STEP_TARGETS, STEP_PROCESSES, STEP_MEASURE };

/* What a page is asked, one after the other. */
enum question { ASK_ATTACH, ASK_EVALUATE, ASK_BEFORE, ASK_METRICS, ASK_AFTER, ASK_DONE };

struct process {
	int64_t pid;
	double cpu_seconds; /* as Chrome tells */
	double demand_seconds; /* of its main thread: what it used and what it waited for a CPU */
	bool answers; /* a page that answers may be in it */
};

/* A client's page, and how it does when it is asked. */
struct page {
	char id[JANITOR_ID_BYTES], session[JANITOR_ID_BYTES];
	enum question question;
	int64_t awaited; /* id of its command */
	double before[SUSPECTS]; /* what the suspects had used when the page was about to be asked what its process has
				  */
	double cpu_seconds; /* that */
};

struct browser_janitor {
	struct loop *loop;
	struct browser_probe *probe;
	const struct browser_janitor_calls *calls;
	void *ctx;
	ms_t idle, spin;
	struct janitor memory;
	enum step step;
	int64_t awaited; /* id of the command of this step */
	char pages[PAGES][JANITOR_ID_BYTES]; /* of the last look */
	struct page asked[PAGES];
	size_t n_pages, n_asked;
	struct process processes[PIDS]; /* the thread's while STEP_MEASURE */
	size_t n_processes;
	struct process suspects[SUSPECTS];
	size_t n_suspects;
	bool asking, freed; /* asking: the pages, whether they hang */
	char doomed[PAGES]
		   [JANITOR_ID_BYTES]; /* hung, in a process that was killed: closed when Chrome says that it crashed */
	size_t n_doomed;
	uv_timer_t tick, limit;
	uv_work_t work;
	int handles;
};

/* ---- commands ---- */

struct words {
	int (*put)(struct buf *out, int64_t id, const char *word);
	const char *word;
};

static int write_words(struct buf *out, int64_t id, const void *what)
{
	const struct words *w = what;
	return w->put(out, id, w->word);
}

static int64_t send_word(struct browser_janitor *j, int (*put)(struct buf *, int64_t, const char *), const char *word)
{
	return browser_probe_send(j->probe, write_words, &(struct words){put, word});
}

static int write_get_contexts(struct buf *out, int64_t id, const void *nothing)
{
	(void)nothing;
	return cdp_get_contexts(out, id);
}

static int write_get_targets(struct buf *out, int64_t id, const void *nothing)
{
	(void)nothing;
	return cdp_get_targets(out, id);
}

static int write_get_processes(struct buf *out, int64_t id, const void *nothing)
{
	(void)nothing;
	return cdp_get_processes(out, id);
}

static int put_evaluate(struct buf *out, int64_t id, const char *session)
{
	return cdp_evaluate(out, id, session, "1");
}

/* ---- whether a page hangs ---- */

/* Nobody says which process a page is in. But a page that answers says what its process has used so far, and if that
 * lies between what this one had used before and after the question, it may be in it. */
static void compare(struct browser_janitor *j, const struct page *p, const struct cdp_process *now, size_t n)
{
	for (size_t i = 0; i < j->n_suspects; i++)
		for (size_t k = 0; k < n; k++)
			if (now[k].pid == j->suspects[i].pid && p->cpu_seconds >= p->before[i] - CPU_SLACK_S &&
				p->cpu_seconds <= now[k].cpu_seconds + CPU_SLACK_S)
				j->suspects[i].answers = true;
}

static void note_before(struct browser_janitor *j, struct page *p, const struct cdp_process *now, size_t n)
{
	for (size_t i = 0; i < j->n_suspects; i++)
		for (size_t k = 0; k < n; k++)
			if (now[k].pid == j->suspects[i].pid)
				p->before[i] = now[k].cpu_seconds;
}

static bool hangs(const struct page *p)
{
	return p->question == ASK_EVALUATE;
}

static void doom_hung_pages(struct browser_janitor *j)
{
	j->n_doomed = 0;
	for (size_t i = 0; i < j->n_asked; i++)
		if (hangs(&j->asked[i]))
			memcpy(j->doomed[j->n_doomed++], j->asked[i].id, JANITOR_ID_BYTES);
}

/* A page that answers and has not said in time where it is may be anywhere. */
static bool is_certain(const struct browser_janitor *j)
{
	for (size_t i = 0; i < j->n_asked; i++)
		if (!hangs(&j->asked[i]) && j->asked[i].question != ASK_DONE)
			return false;
	return true;
}

/* The process is killed, not the page closed: which of the pages that do not answer it is that spins is known to
 * nobody else, and another one may only be waiting for its dialog. */
static void end_asking(struct browser_janitor *j)
{
	j->asking = false;
	uv_timer_stop(&j->limit);
	doom_hung_pages(j);
	for (size_t i = 0; i < j->n_asked; i++)
		if (j->asked[i].session[0])
			send_word(j, cdp_detach, j->asked[i].session);
	for (size_t i = 0; i < j->n_suspects; i++) {
		const struct process *p = &j->suspects[i];
		janitor_forgive(&j->memory, p->pid, loop_now());
		if (j->n_doomed && is_certain(j) && !p->answers && j->calls->is_ours(j->ctx, (pid_t)p->pid))
			kill((pid_t)p->pid, SIGKILL);
	}
}

static void on_limit(uv_timer_t *timer)
{
	end_asking(timer->data);
}

static void ask(struct browser_janitor *j, struct page *p, enum question question)
{
	p->question = question;
	if (question == ASK_ATTACH)
		p->awaited = send_word(j, cdp_attach, p->id);
	else if (question == ASK_EVALUATE)
		p->awaited = send_word(j, put_evaluate, p->session);
	else if (question == ASK_METRICS)
		p->awaited = send_word(j, cdp_get_metrics, p->session);
	else if (question != ASK_DONE)
		p->awaited = browser_probe_send(j->probe, write_get_processes, NULL);
}

static void begin_asking(struct browser_janitor *j)
{
	j->asking = true;
	j->n_asked = j->n_pages;
	for (size_t i = 0; i < j->n_asked; i++) {
		struct page *p = &j->asked[i];
		*p = (struct page){0};
		memcpy(p->id, j->pages[i], sizeof(p->id));
		ask(j, p, ASK_ATTACH);
	}
	uv_timer_start(&j->limit, on_limit, ANSWER_MS, 0);
}

/* False: the page is not there any more, which is no answer that is missing. */
static bool take_session(struct browser_janitor *j, struct page *p, const struct cdp_message *m)
{
	const char *session = cdp_text(m, "sessionId");
	if (!session || strlen(session) >= sizeof(p->session))
		return false;
	snprintf(p->session, sizeof(p->session), "%s", session);
	send_word(j, cdp_enable_metrics, session);
	return true;
}

static void take_page_answer(struct browser_janitor *j, struct page *p, const struct cdp_message *m)
{
	struct cdp_process now[PIDS];
	size_t n = cdp_read_processes(m, now, PIDS);
	enum question next = m->error ? ASK_DONE : p->question + 1;
	p->awaited = 0;
	if (p->question == ASK_ATTACH && !m->error && !take_session(j, p, m))
		next = ASK_DONE;
	else if (p->question == ASK_BEFORE)
		note_before(j, p, now, n);
	else if (p->question == ASK_METRICS)
		p->cpu_seconds = cdp_read_metric(m, "ProcessTime");
	else if (p->question == ASK_AFTER)
		compare(j, p, now, n);
	ask(j, p, next);
}

static bool is_page_answer(struct browser_janitor *j, const struct cdp_message *m)
{
	for (size_t i = 0; j->asking && i < j->n_asked; i++)
		if (j->asked[i].awaited == m->id) {
			take_page_answer(j, &j->asked[i], m);
			return true;
		}
	return false;
}

/* ---- a look ---- */

static void close_thing(void *ctx, enum janitor_kind kind, const char *id, ms_t idle_for)
{
	struct browser_janitor *j = ctx;
	char text[EVENT_TEXT_MAX];
	bool page = kind == JANITOR_PAGE;
	send_word(j, page ? cdp_close_target : cdp_dispose_context, id);
	snprintf(text, sizeof(text), "%s %s: no session was attached to it for %lld s",
		page ? "closed page" : "disposed of browser context", id, (long long)(idle_for / 1000));
	j->calls->tidied(j->ctx, page ? TIDIED_IDLE_PAGE : TIDIED_IDLE_CONTEXT, text);
}

static bool is_own_context(const struct browser_janitor *j, const char *context)
{
	const char *own = browser_probe_context(j->probe);
	return own && !strcmp(own, context);
}

static void take_contexts(struct browser_janitor *j, const struct cdp_message *m)
{
	const char *contexts[PAGES];
	size_t n = cdp_read_contexts(m, contexts, PAGES);
	janitor_begin(&j->memory);
	for (size_t i = 0; i < n; i++)
		if (!is_own_context(j, contexts[i]))
			janitor_see_context(&j->memory, contexts[i], loop_now());
}

static void take_target(struct browser_janitor *j, const struct cdp_target *t)
{
	struct janitor_page page = {
		.id = t->id, .context = t->context, .attached = t->attached, .blank = !strcmp(t->url, "about:blank")};
	if (strcmp(t->type, "page") != 0 || is_own_context(j, t->context) || browser_probe_hides(j->probe, t->id))
		return;
	janitor_see_page(&j->memory, &page, loop_now());
	if (strlen(t->id) < JANITOR_ID_BYTES)
		snprintf(j->pages[j->n_pages++], JANITOR_ID_BYTES, "%s", t->id);
}

static void take_targets(struct browser_janitor *j, const struct cdp_message *m)
{
	struct cdp_target targets[PAGES];
	size_t n = cdp_read_targets(m, targets, PAGES);
	j->n_pages = 0;
	for (size_t i = 0; i < n; i++)
		take_target(j, &targets[i]);
	janitor_end(&j->memory, j->idle, j->calls->oldest_session(j->ctx), loop_now(), close_thing, j);
}

/* In a thread. A page's scripts run on the first one of its process. What it waits for a CPU counts too, or nobody
 * would spin in a pod that is short of them. (/proc/PID/schedstat: ran, waited, in nanoseconds.) */
static void measure(uv_work_t *work)
{
	struct browser_janitor *j = work->data;
	for (size_t i = 0; i < j->n_processes; i++) {
		char path[64], text[96];
		unsigned long long ran, waited;
		struct process *p = &j->processes[i];
		snprintf(path, sizeof(path), "/proc/%lld/task/%lld/schedstat", (long long)p->pid, (long long)p->pid);
		p->demand_seconds = p->cpu_seconds;
		if (file_read_small(path, text, sizeof(text)) > 0 && sscanf(text, "%llu %llu", &ran, &waited) == 2)
			p->demand_seconds = (double)(ran + waited) / 1e9;
	}
}

static void release(struct browser_janitor *j)
{
	if (j->handles || j->step == STEP_MEASURE)
		return;
	janitor_fini(&j->memory);
	free(j);
}

static void note_suspects(struct browser_janitor *j, ms_t now)
{
	int64_t pids[PIDS];
	size_t n = janitor_spinning(&j->memory, j->spin, now, pids, PIDS);
	j->n_suspects = 0;
	for (size_t i = 0; i < j->n_processes; i++)
		for (size_t k = 0; k < n && k < PIDS; k++)
			if (j->processes[i].pid == pids[k] && j->n_suspects < SUSPECTS)
				j->suspects[j->n_suspects++] = j->processes[i];
}

static void on_measured(uv_work_t *work, int status)
{
	(void)status;
	struct browser_janitor *j = work->data;
	ms_t now = loop_now();
	j->step = STEP_NONE;
	if (j->freed) {
		release(j);
		return;
	}
	for (size_t i = 0; i < j->n_processes; i++)
		janitor_see_process(&j->memory, j->processes[i].pid, j->processes[i].demand_seconds, now);
	if (j->asking)
		return;
	note_suspects(j, now);
	if (j->n_suspects)
		begin_asking(j);
}

static void take_processes(struct browser_janitor *j, const struct cdp_message *m)
{
	struct cdp_process all[PIDS];
	size_t n = cdp_read_processes(m, all, PIDS);
	j->n_processes = 0;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(all[i].type, "renderer") && all[i].pid > 1)
			j->processes[j->n_processes++] =
				(struct process){.pid = all[i].pid, .cpu_seconds = all[i].cpu_seconds};
	j->work.data = j;
	j->step = uv_queue_work(&j->loop->uv, &j->work, measure, on_measured) == 0 ? STEP_MEASURE : STEP_NONE;
}

static void move_on(struct browser_janitor *j, const struct cdp_message *m)
{
	switch (j->step) {
	case STEP_CONTEXTS:
		take_contexts(j, m);
		j->step = STEP_TARGETS;
		j->awaited = browser_probe_send(j->probe, write_get_targets, NULL);
		break;
	case STEP_TARGETS:
		take_targets(j, m);
		j->step = j->spin > 0 ? STEP_PROCESSES : STEP_NONE;
		j->awaited = j->spin > 0 ? browser_probe_send(j->probe, write_get_processes, NULL) : 0;
		break;
	case STEP_PROCESSES:
		j->awaited = 0;
		take_processes(j, m);
		break;
	case STEP_MEASURE:
	case STEP_NONE:
		break;
	}
}

void browser_janitor_replied(struct browser_janitor *j, const struct cdp_message *m)
{
	if (!j || is_page_answer(j, m) || !j->awaited || m->id != j->awaited)
		return;
	if (m->error)
		j->step = STEP_NONE; /* the next look may find out */
	else
		move_on(j, m);
}

void browser_janitor_crashed(struct browser_janitor *j, const char *target)
{
	char text[EVENT_TEXT_MAX];
	for (size_t i = 0; j && target && i < j->n_doomed; i++) {
		if (strcmp(j->doomed[i], target) != 0)
			continue;
		j->doomed[i][0] = '\0';
		send_word(j, cdp_close_target, target);
		snprintf(text, sizeof(text), "closed page %.*s: it used a CPU for %lld s and did not answer",
			JANITOR_ID_BYTES, target, (long long)(j->spin / 1000));
		j->calls->tidied(j->ctx, TIDIED_SPINNING_PAGE, text);
	}
}

/* A look that Chrome has not answered goes on: whether it hangs is the ladder's question. */
static void on_tick(uv_timer_t *timer)
{
	struct browser_janitor *j = timer->data;
	if (j->step != STEP_NONE || j->asking)
		return; /* pages that are being asked are attached to, by us */
	j->step = STEP_CONTEXTS;
	j->awaited = browser_probe_send(j->probe, write_get_contexts, NULL);
}

/* ---- life ---- */

static ms_t period_of(ms_t idle, ms_t spin)
{
	ms_t period = LOOK_MS;
	if (idle > 0)
		period = clock_earlier(period, idle / LOOKS_TO_IDLE);
	if (spin > 0)
		period = clock_earlier(period, spin / LOOKS_TO_SPIN);
	return period < LOOK_LEAST_MS ? LOOK_LEAST_MS : period;
}

int browser_janitor_new(struct browser_janitor **out, struct loop *loop, struct browser_probe *probe, ms_t idle,
	ms_t spin, const struct browser_janitor_calls *calls, void *ctx, struct err *err)
{
	*out = NULL;
	if (idle <= 0 && spin <= 0)
		return 0;
	struct browser_janitor *j = calloc(1, sizeof(*j));
	if (!j)
		return err_set(err, -ENOMEM, "out of memory");
	ms_t period = period_of(idle, spin);
	j->loop = loop;
	j->probe = probe;
	j->calls = calls;
	j->ctx = ctx;
	j->idle = idle;
	j->spin = spin;
	janitor_init(&j->memory);
	uv_timer_init(&loop->uv, &j->tick);
	uv_timer_init(&loop->uv, &j->limit);
	j->tick.data = j->limit.data = j;
	j->handles = 2;
	uv_timer_start(&j->tick, on_tick, (uint64_t)period, (uint64_t)period);
	*out = j;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	struct browser_janitor *j = handle->data;
	j->handles--;
	release(j);
}

void browser_janitor_free(struct browser_janitor *j)
{
	if (!j || j->freed)
		return;
	j->freed = true;
	uv_close((uv_handle_t *)&j->tick, on_closed);
	uv_close((uv_handle_t *)&j->limit, on_closed);
}
