/* units owns how people write spans of time, sizes, ratios and factors, in both
 * directions. What format writes, parse reads back to the same number. */
#ifndef PODVISOR_BASE_UNITS_H
#define PODVISOR_BASE_UNITS_H

#include <stdint.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"

#define UNITS_TEXT_MAX     32
#define UNITS_DURATION_MAX ((ms_t)366 * 24 * 3600 * 1000) /* the longest that parse accepts: 366 days */

/* Each parse returns 0, -EINVAL or -ERANGE. The sentence in err is a predicate
 * ("has no unit"), never the text itself, which may be a secret. */

/* "250ms", "30s", "5m", "12h", "2d", also several, larger units first, each
 * once: "1h30m". Whole numbers only. "0" needs no unit. */
int units_parse_duration(const char *text, ms_t *out, struct err *err) MUST_CHECK;
/* As Kubernetes writes quantities: bytes, with Ki Mi Gi Ti (powers of 1024) or
 * k M G T (powers of 1000); up to three decimals ("1.5Gi"), rounded up to bytes. */
int units_parse_size(const char *text, int64_t *out_bytes, struct err *err) MUST_CHECK;
/* "85%": a whole number of percents, 0% to 100%. */
int units_parse_percent(const char *text, int *out, struct err *err) MUST_CHECK;
/* "2", "1.5", "0.25": up to two decimals, as hundredths. */
int units_parse_factor(const char *text, int64_t *out_hundredths, struct err *err) MUST_CHECK;

/* Into out, which is returned: the shortest exact form. ms and bytes >= 0. */
char *units_format_duration(ms_t ms, char out[UNITS_TEXT_MAX]);
char *units_format_size(int64_t bytes, char out[UNITS_TEXT_MAX]);
char *units_format_percent(int percent, char out[UNITS_TEXT_MAX]);
char *units_format_factor(int64_t hundredths, char out[UNITS_TEXT_MAX]);

#endif
