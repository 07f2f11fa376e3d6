#include "podvisor/model/closing.h"

ms_t closing_slot(size_t i, size_t n, ms_t window, struct random *random)
{
	ms_t from = (ms_t)i * window / (ms_t)n, to = (ms_t)(i + 1) * window / (ms_t)n;
	return from + (ms_t)random_below(random, (uint64_t)(to - from));
}

void closing_init(struct closing *c)
{
	*c = (struct closing){.at = CLOCK_NEVER};
}

/* The only place where the state changes. */
static void enter(struct closing *c, enum closing_state state, ms_t at)
{
	c->state = (uint8_t)state;
	c->at = at;
}

static enum closing_action finish(struct closing *c, enum gateway_close result, enum closing_action action)
{
	enter(c, CLOSING_DONE, CLOCK_NEVER);
	c->result = (uint8_t)result;
	return action;
}

void closing_begin(struct closing *c, ms_t slot)
{
	if (c->state != CLOSING_OPEN)
		return;
	c->began_at = slot;
	enter(c, CLOSING_SLOT, slot);
}

bool closing_hurry(struct closing *c, ms_t now)
{
	if (c->state != CLOSING_SLOT)
		return false;
	if (c->at > now)
		c->began_at = c->at = now;
	return true;
}

void closing_give_up(struct closing *c)
{
	bool ours = c->sent_at != 0, theirs = !ours && c->state == CLOSING_ANSWER;
	if (c->state != CLOSING_DONE)
		finish(c, ours ? GATEWAY_CLIENT_TIMEOUT : theirs ? GATEWAY_PEER_FIRST : GATEWAY_UNCLEAN, CLOSING_CUT);
}

bool closing_take_back(struct closing *c)
{
	if (c->state >= CLOSING_ANSWER)
		return false;
	closing_init(c);
	return true;
}

static enum closing_action send(struct closing *c, const struct config_drain *times, ms_t now)
{
	c->sent_at = now;
	enter(c, CLOSING_ANSWER, clock_after(now, times->close_timeout));
	return CLOSING_SEND;
}

static enum closing_action step_answer(struct closing *c, const struct closing_view *v, ms_t now)
{
	bool ours = c->sent_at != 0;
	if (v->client_closed && (ours || v->backend_closed || v->backend_gone))
		return finish(c, ours ? GATEWAY_CLEAN : GATEWAY_PEER_FIRST, CLOSING_FINISH);
	if (!clock_due(c->at, now))
		return CLOSING_WAIT;
	return finish(c, v->client_closed ? GATEWAY_PEER_FIRST : GATEWAY_CLIENT_TIMEOUT, CLOSING_CUT);
}

/* A peer began to close by itself: never a second Close, only patience for the other one. */
static enum closing_action await_other(
	struct closing *c, const struct closing_view *v, const struct config_drain *times, ms_t now)
{
	enter(c, CLOSING_ANSWER, clock_after(now, times->close_timeout));
	return step_answer(c, v, now);
}

static enum closing_action step_before_close(
	struct closing *c, const struct closing_view *v, const struct config_drain *times, ms_t now)
{
	if (v->backend_closed || v->client_closed)
		return await_other(c, v, times, now);
	if (v->backend_gone)
		return v->sound && v->at_frame ? send(c, times, now) : finish(c, GATEWAY_UNCLEAN, CLOSING_CUT);
	if (c->state == CLOSING_SLOT) {
		if (!clock_due(c->at, now))
			return CLOSING_WAIT;
		enter(c, CLOSING_MESSAGE, clock_after(now, times->message_wait));
	}
	if (!v->sound)
		return finish(c, GATEWAY_UNCLEAN, CLOSING_CUT);
	if (v->at_message)
		return send(c, times, now);
	if (c->state == CLOSING_MESSAGE && clock_due(c->at, now))
		enter(c, CLOSING_FRAME, clock_after(now, times->boundary_wait));
	if (c->state == CLOSING_FRAME && v->at_frame)
		return send(c, times, now);
	if (c->state == CLOSING_FRAME && clock_due(c->at, now))
		return finish(c, GATEWAY_UNCLEAN, CLOSING_CUT);
	return CLOSING_WAIT;
}

static enum closing_action on_client_gone(struct closing *c, const struct closing_view *v)
{
	bool ours = c->sent_at != 0;
	if (v->client_closed)
		return finish(c, ours ? GATEWAY_CLEAN : GATEWAY_PEER_FIRST, CLOSING_FINISH);
	return finish(c, ours || v->client_broken ? GATEWAY_RESET : GATEWAY_PEER_FIRST, CLOSING_CUT);
}

enum closing_action closing_step(
	struct closing *c, const struct closing_view *view, const struct config_drain *times, ms_t now)
{
	switch ((enum closing_state)c->state) {
	case CLOSING_SLOT:
	case CLOSING_MESSAGE:
	case CLOSING_FRAME:
		return view->client_gone ? on_client_gone(c, view) : step_before_close(c, view, times, now);
	case CLOSING_ANSWER:
		return view->client_gone ? on_client_gone(c, view) : step_answer(c, view, now);
	default:
		return CLOSING_WAIT;
	}
}
