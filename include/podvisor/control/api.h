/* api owns what programs ask of podvisor under /api/v1: the JSON of what is,
 * and the wishes that are posted as events. Wishes change nothing here; who
 * wants to know what became of them waits (waits.h). */
#ifndef PODVISOR_CONTROL_API_H
#define PODVISOR_CONTROL_API_H

#include "podvisor/control/answer.h"
#include "podvisor/control/port.h"
#include "podvisor/control/query.h"
#include "podvisor/control/waits.h"

#define API_WAIT_MAX_S 600

/* One request. Each call below answers it, or fills in wait and leaves it
 * unanswered. */
struct api_call {
	const struct snapshot *s;
	const struct control_port *port;
	const struct query *query;
	const char *name; /* of /workers/NAME; "" */
	struct answer *answer;
	struct wait *wait;
};

void api_status(const struct api_call *c);
void api_workers(const struct api_call *c);
void api_worker(const struct api_call *c);
void api_drain(const struct api_call *c);
void api_logs(const struct api_call *c);
void api_start(const struct api_call *c);
void api_stop(const struct api_call *c);
void api_restart(const struct api_call *c);
void api_reload(const struct api_call *c);
void api_begin_drain(const struct api_call *c);
void api_end_drain(const struct api_call *c);
/* The answer after having waited; done: what was waited for has come about. */
void api_answer_waited(const struct snapshot *s, const struct wait *wait, bool done, struct answer *a);

#endif
