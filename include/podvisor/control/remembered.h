/* remembered owns how the remembered log lines are asked for and shown. */
#ifndef PODVISOR_CONTROL_REMEMBERED_H
#define PODVISOR_CONTROL_REMEMBERED_H

#include "podvisor/control/answer.h"
#include "podvisor/control/port.h"
#include "podvisor/control/query.h"

#define REMEMBERED_LINES_MAX 10000

/* Lines of these (NULL-terminated; none: of everybody): text as it was logged;
 * with ?json or ?after=CURSOR a JSON object with a cursor for what comes next. */
void remembered_answer(
	const struct control_port *port, const struct query *q, const char *const *names, struct answer *a);

#endif
