#include "podvisor/model/forecast.h"

#include "podvisor/model/closing.h"

/* Its slots have all come: each waits for a boundary or an answer, and not for ever. */
static ms_t last_goodbye(const struct gateway_drain *drain, const struct config_drain *times)
{
	return drain->slots_until + times->message_wait + times->boundary_wait + times->close_timeout;
}

static ms_t emptied_at(const struct snapshot *s, const struct config_drain *times)
{
	const struct gateway_meter *m = &s->meters->gateway;
	ms_t told = m->drain.slots_until + m->drain.longest_handshake_ms;
	if (m->websocket)
		return told > s->now ? told : last_goodbye(&m->drain, times);
	return m->http ? m->drain.requests_until : s->now;
}

ms_t forecast_drained_at(const struct snapshot *s)
{
	const struct drain *d = &s->world->drain;
	const struct config_drain *times = &s->world->config->gateway.drain;
	ms_t at = s->now;
	if (d->state == DRAIN_SERVING)
		return CLOCK_NEVER;
	if (d->state == DRAIN_LAME_DUCK)
		at = d->phase_until + clock_earlier(times->spread, s->meters->gateway.websocket * CLOSING_SLOT_MS);
	else if (d->state == DRAIN_DRAINING && !d->gateway_empty)
		at = clock_earlier(emptied_at(s, times), d->phase_until);
	return at > s->now ? at : s->now;
}
