#include "podvisor/runtime/browser_census.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_MS     500
#define REGULAR_MS   5000
#define QUICK_MS     1000
#define QUICK_LOOKS  10 /* after a loss: parts that end again and again are each seen */
#define MEMORY_EVERY 2 /* PSS costs the kernel a walk through all pages */

struct browser_census {
	struct loop *loop;
	browser_census_looked looked;
	void *ctx;
	pid_t shim, main;
	uv_timer_t timer;
	uv_work_t work;
	bool looking, trusted, freed, closed;
	unsigned looks;
	int quick_looks;
	int rc; /* the thread's while looking, like next */
	bool with_memory;
	struct chrome_tree next, tree; /* tree: the one before */
};

static void look(uv_work_t *work)
{
	struct browser_census *c = work->data;
	c->rc = chrome_tree_read(c->shim, c->main, c->with_memory, &c->next);
}

static bool is_lost(pid_t before, pid_t now)
{
	return before && before != now && chrome_tree_is_gone(before);
}

static int count_lost_zygotes(const struct chrome_tree *before)
{
	int lost = 0;
	for (int i = 0; i < before->n_zygotes; i++)
		lost += chrome_tree_is_gone(before->zygotes[i]);
	return lost;
}

/* What is not gone and was only not seen is looked for again. */
static void keep_unseen(struct chrome_tree *now, const struct chrome_tree *before)
{
	if (!now->gpu && before->gpu && !chrome_tree_is_gone(before->gpu))
		now->gpu = before->gpu;
	if (!now->network && before->network && !chrome_tree_is_gone(before->network))
		now->network = before->network;
}

static struct browser_losses compare(struct browser_census *c)
{
	struct browser_losses lost = {0};
	if (!c->trusted)
		return lost;
	lost.gpu = is_lost(c->tree.gpu, c->next.gpu);
	lost.network = is_lost(c->tree.network, c->next.network);
	lost.zygotes = count_lost_zygotes(&c->tree);
	keep_unseen(&c->next, &c->tree);
	return lost;
}

static void schedule(struct browser_census *c, bool lost);

static void release(struct browser_census *c)
{
	if (c->closed && !c->looking)
		free(c);
}

static void on_looked(uv_work_t *work, int status)
{
	(void)status;
	struct browser_census *c = work->data;
	c->looking = false;
	if (c->freed) {
		release(c);
		return;
	}
	if (c->rc < 0) {
		schedule(c, false);
		return;
	}
	struct browser_losses lost = compare(c);
	if (!c->with_memory)
		memcpy(c->next.memory_bytes, c->tree.memory_bytes, sizeof(c->next.memory_bytes));
	c->tree = c->next;
	schedule(c, lost.gpu || lost.network || lost.zygotes);
	c->looked(c->ctx, &c->tree, &lost);
}

static void on_timer(uv_timer_t *timer)
{
	struct browser_census *c = timer->data;
	if (c->looking)
		return;
	c->with_memory = c->looks++ % MEMORY_EVERY == 0;
	c->looking = uv_queue_work(&c->loop->uv, &c->work, look, on_looked) == 0;
	if (!c->looking)
		schedule(c, false);
}

static void schedule(struct browser_census *c, bool lost)
{
	c->quick_looks = lost ? QUICK_LOOKS : c->quick_looks ? c->quick_looks - 1 : 0;
	uv_timer_start(&c->timer, on_timer, c->quick_looks ? QUICK_MS : REGULAR_MS, 0);
}

int browser_census_new(struct browser_census **out, struct loop *loop, pid_t shim, pid_t main,
	browser_census_looked looked, void *ctx, struct err *err)
{
	struct browser_census *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	c->loop = loop;
	c->shim = shim;
	c->main = main;
	c->looked = looked;
	c->ctx = ctx;
	c->work.data = c->timer.data = c;
	uv_timer_init(&loop->uv, &c->timer);
	uv_timer_start(&c->timer, on_timer, FIRST_MS, 0);
	*out = c;
	return 0;
}

void browser_census_trust(struct browser_census *c)
{
	c->trusted = true;
}

static void on_closed(uv_handle_t *handle)
{
	struct browser_census *c = handle->data;
	c->closed = true;
	release(c);
}

void browser_census_free(struct browser_census *c)
{
	if (!c || c->freed)
		return;
	c->freed = true;
	uv_close((uv_handle_t *)&c->timer, on_closed);
}
