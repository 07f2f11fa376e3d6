/* tzif understands the time zones of the tz database as they lie in
 * /usr/share/zoneinfo: TZif files, versions 1 to 4 (RFC 9636), with the rule for
 * the time beyond their table. Pure: the bytes come in as an argument. */
#ifndef PODVISOR_WIRE_TZIF_H
#define PODVISOR_WIRE_TZIF_H

#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/err.h"
#include "podvisor/wire/tzperiod.h"

/* Larger files are none of the tz database's, of which the largest has 4 KiB. */
#define TZIF_BYTES_MAX (64 << 10)

struct tzif;

/* NULL with a predicate ("is cut off", never the bytes) in err: no TZif file, one
 * that contradicts itself, or one that counts leap seconds, as Unix time does not. */
struct tzif *tzif_parse(const void *bytes, size_t len, struct err *err) MUST_CHECK;
void tzif_free(struct tzif *zone); /* NULL is fine */
/* The stretch of one offset around that Unix time, of the years 1 to 9999. zone
 * NULL is UTC. Two that follow each other may have the same offset. */
struct tzperiod tzif_period(const struct tzif *zone, int64_t unix_s);

#endif
