/* postgres_dsn owns the question whether libpq takes a connection string, and why it does not: without a network, and
 * without a word of what stands in it but the names of options. */
#ifndef PODVISOR_IO_POSTGRES_DSN_H
#define PODVISOR_IO_POSTGRES_DSN_H

#include "podvisor/base/err.h"

/* 0 when libpq takes the string and the values in it. -EINVAL with a sentence that says what is wrong in it; libpq's
 * own words are not passed on, for they quote the string, and the password may be in what they quote. What needs more
 * than the string (service files, the environment) is not judged; without a libpq nothing is. Loads libpq: not for each
 * turn of the loop. */
int postgres_dsn_check(const char *dsn, struct err *err) MUST_CHECK;

/* A password whose @ or / is not percent-encoded is read as part of the host or the port, which must not be told then:
 * what to look at instead, or NULL. Either may be NULL. */
const char *postgres_dsn_misreading(const char *host, const char *port);

#endif
