/* secret owns the comparison of what somebody presents with a secret: how long it
 * takes tells nothing about how much of it was right. */
#ifndef PODVISOR_BASE_SECRET_H
#define PODVISOR_BASE_SECRET_H

#include "podvisor/base/span.h"

/* An empty secret is matched by nothing. */
bool secret_matches(struct span given, const char *secret);

#endif
