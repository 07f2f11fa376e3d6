#include "podvisor/io/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "podvisor/base/panic.h"

enum { FINI_PATIENCE_MS = 1000 };

static int64_t read_clock_ms(clockid_t id)
{
	struct timespec ts;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

ms_t loop_now(void)
{
	return read_clock_ms(CLOCK_BOOTTIME);
}

int64_t loop_wall_ms(void)
{
	return read_clock_ms(CLOCK_REALTIME);
}

/* At most a few rounds: an effect may be answered at once with an event, and a
 * part that always does so must not keep the loop from polling. */
static void take_turn(struct loop *l)
{
	if (l->handling)
		return;
	l->handling = true;
	for (int i = 0; i < 8 && (l->count || l->asked); i++) {
		l->asked = false;
		l->turn(l->ctx);
	}
	l->handling = false;
}

static void on_wake(uv_timer_t *handle)
{
	loop_ask(handle->data);
}

static void on_again(uv_idle_t *handle)
{
	uv_idle_stop(handle);
}

/* From one poll to the next, callbacks of libuv included: how long something
 * that becomes ready now may have to wait. */
static void note_lag(struct loop *l)
{
	uint64_t now = uv_hrtime(), waited = uv_metrics_idle_time(&l->uv);
	if (l->lag && l->round_ns)
		histogram_add(l->lag, (double)(now - l->round_ns - (waited - l->waited_ns)) / 1e9);
	l->round_ns = now;
	l->waited_ns = waited;
}

/* What is left makes poll return at once; the wish of loop_wake_at stays. */
static void on_prepare(uv_prepare_t *handle)
{
	struct loop *l = handle->data;
	take_turn(l);
	if (l->count || l->asked)
		uv_idle_start(&l->again, on_again);
	note_lag(l);
}

static void on_check(uv_check_t *handle)
{
	take_turn(handle->data);
}

/* libuv aborts when it cannot have its first pipe. What ends podvisor is to be a sentence. */
static int try_descriptors(void)
{
	int fds[2];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static void start_turns(struct loop *l)
{
	uv_prepare_start(&l->prepare, on_prepare);
	uv_check_start(&l->check, on_check);
}

int loop_init(struct loop *l, void (*turn)(void *ctx), void *ctx, struct err *err)
{
	*l = (struct loop){0};
	int rc = try_descriptors();
	rc = rc ? rc : uv_loop_init(&l->uv);
	if (rc < 0)
		return err_set(err, rc, "no event loop: %s", strerror(-rc));
	l->turn = turn;
	l->ctx = ctx;
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	uv_timer_init(&l->uv, &l->wake);
	uv_idle_init(&l->uv, &l->again);
	uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME);
	l->prepare.data = l->check.data = l->wake.data = l;
	start_turns(l);
	return 0;
}

/* ---- the pool ---- */

#define POOL_THREADS     4 /* libuv's own default */
#define POOL_THREADS_MAX 1024

static size_t pool_size(void)
{
	const char *wish = getenv("UV_THREADPOOL_SIZE");
	int n = wish ? atoi(wish) : POOL_THREADS;
	return n < 1 ? 1 : n > POOL_THREADS_MAX ? POOL_THREADS_MAX : (size_t)n;
}

static void *wait_for_gate(void *gate)
{
	pthread_mutex_lock(gate);
	pthread_mutex_unlock(gate);
	return NULL;
}

/* All at once: a limit may leave room for some of them. */
static int try_threads(size_t n)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	pthread_t *threads = calloc(n, sizeof(*threads));
	size_t made = 0;
	int rc = threads ? 0 : ENOMEM;
	pthread_mutex_lock(&gate);
	while (rc == 0 && made < n) {
		rc = pthread_create(&threads[made], NULL, wait_for_gate, &gate);
		made += rc == 0;
	}
	pthread_mutex_unlock(&gate);
	while (made)
		pthread_join(threads[--made], NULL);
	free(threads);
	return -rc;
}

static void do_nothing(uv_work_t *work)
{
	(void)work;
}

static int make_threads(struct loop *l, size_t n)
{
	uv_work_t first;
	int rc = try_threads(n);
	rc = rc ? rc : uv_queue_work(&l->uv, &first, do_nothing, NULL);
	if (rc < 0)
		return rc;
	uv_prepare_stop(&l->prepare);
	uv_check_stop(&l->check);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	start_turns(l);
	return 0;
}

/* libuv makes its threads when it gets the first work, and aborts when it cannot. At the start that is a sentence;
 * later, when workers have used up what the pod may have of processes, it would be podvisor's death. The threads
 * inherit a full mask: a signal for podvisor that went to one of them, SIGCHLD for instance, would be lost. */
int loop_open_pool(struct loop *l, struct err *err)
{
	sigset_t all, mask;
	size_t n = pool_size();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &mask);
	int rc = make_threads(l, n);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return rc < 0 ? err_set(err, rc, "no room for %zu thread%s: %s", n, n == 1 ? "" : "s", strerror(-rc)) : 0;
}

/* ---- turning ---- */

void loop_run(struct loop *l)
{
	uv_run(&l->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}

static void on_patience_over(uv_timer_t *timer)
{
	(void)timer;
}

/* What the pool is still at calls back into memory that it owns. Bounded: work that
 * hangs, or a handle that a part forgot, must not keep podvisor from ending. */
static void close_the_rest(struct loop *l)
{
	uv_timer_t patience;
	ms_t until = loop_now() + FINI_PATIENCE_MS;
	uv_update_time(&l->uv);
	uv_timer_init(&l->uv, &patience);
	uv_timer_start(&patience, on_patience_over, FINI_PATIENCE_MS, 0);
	uv_unref((uv_handle_t *)&patience);
	while (uv_run(&l->uv, UV_RUN_ONCE) && loop_now() < until)
		;
	uv_close((uv_handle_t *)&patience, NULL);
	uv_run(&l->uv, UV_RUN_NOWAIT);
}

bool loop_fini(struct loop *l)
{
	uv_close((uv_handle_t *)&l->prepare, NULL);
	uv_close((uv_handle_t *)&l->check, NULL);
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_close((uv_handle_t *)&l->again, NULL);
	close_the_rest(l);
	bool closed = uv_loop_close(&l->uv) == 0;
	free(l->queue);
	return closed;
}

static void grow(struct loop *l)
{
	size_t cap = l->cap ? l->cap * 2 : 64;
	struct event *queue = cap > LOOP_EVENTS_MAX ? NULL : malloc(cap * sizeof(*queue));
	if (!queue)
		panic(cap > LOOP_EVENTS_MAX ? "too many events in one turn" : "out of memory");
	for (size_t i = 0; i < l->count; i++)
		queue[i] = l->queue[(l->head + i) % l->cap];
	free(l->queue);
	l->queue = queue;
	l->head = 0;
	l->cap = cap;
}

void loop_post(struct loop *l, const struct event *e)
{
	if (l->count == l->cap)
		grow(l);
	l->queue[(l->head + l->count++) % l->cap] = *e;
}

bool loop_take(struct loop *l, struct event *out)
{
	if (!l->count)
		return false;
	*out = l->queue[l->head];
	l->head = (l->head + 1) % l->cap;
	l->count--;
	return true;
}

void loop_ask(struct loop *l)
{
	l->asked = true;
}

void loop_wake_at(struct loop *l, ms_t at)
{
	if (at == CLOCK_NEVER) {
		uv_timer_stop(&l->wake);
		return;
	}
	ms_t now = loop_now();
	uv_update_time(&l->uv);
	uv_timer_start(&l->wake, on_wake, at > now ? (uint64_t)(at - now) : 0, 0);
}
