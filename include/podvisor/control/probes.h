/* probes owns the answers to /livez, /readyz and /startupz, in the words of
 * Kubernetes' own components. It allocates nothing beyond the body's buffer. */
#ifndef PODVISOR_CONTROL_PROBES_H
#define PODVISOR_CONTROL_PROBES_H

#include "podvisor/control/answer.h"
#include "podvisor/control/query.h"
#include "podvisor/model/snapshot.h"
#include "podvisor/model/verdict.h"

/* ?verbose lists every check, ?exclude=NAME leaves one out. */
void probes_answer(const struct snapshot *s, enum verdict_question question, const struct query *q, struct answer *a);

#endif
