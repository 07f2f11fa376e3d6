#include "podvisor/model/restart.h"

void restart_forget(struct restart *r)
{
	*r = (struct restart){0};
}

static int restarts_within(const struct restart *r, ms_t window, ms_t now)
{
	int count = 0;
	for (unsigned i = 0; i < r->n && i < CONFIG_RESTARTS_MAX; i++)
		count += now - r->at[i] < window;
	return count;
}

static ms_t delay_of(const struct config_restart *config, int streak, struct random *random)
{
	if (streak <= 1)
		return 0;
	ms_t delay = config->backoff.initial;
	for (int i = 2; i < streak && delay < config->backoff.max; i++)
		delay = (delay * config->backoff.factor_percent + 99) / 100; /* up: 1 ms has to grow too */
	delay = clock_earlier(delay, config->backoff.max);
	return random_jitter(random, delay, config->backoff.jitter_percent);
}

ms_t restart_after_exit(
	struct restart *r, const struct config_restart *config, ms_t ran, ms_t now, struct random *random)
{
	if (ran >= config->backoff.reset_after)
		r->streak = 0;
	if (restarts_within(r, config->limit.window, now) >= config->limit.count)
		return -1;
	r->at[r->n++ % CONFIG_RESTARTS_MAX] = now;
	r->streak++;
	return delay_of(config, r->streak, random);
}
