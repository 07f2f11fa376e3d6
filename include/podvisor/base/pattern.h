/* pattern owns regular expressions that are only asked whether they match:
 * PCRE2's, with a limit to what one match may cost. (The C library's regexec
 * keeps every state it ever met: x(a|b)*a(a|b){18} grew without end over 20,000
 * lines, and its errors name no place.) */
#ifndef PODVISOR_BASE_PATTERN_H
#define PODVISOR_BASE_PATTERN_H

#include <stdbool.h>

#include "podvisor/base/err.h"
#include "podvisor/base/span.h"

/* A Perl-compatible regular expression (pcre2pattern(3)) over text that should be UTF-8. */
struct pattern;

/* -EINVAL with a sentence that names the place, in bytes, from 1; -E2BIG: it is
 * too long; -ENOMEM. */
int pattern_new(struct pattern **out, const char *text, struct err *err) MUST_CHECK;
/* Whether it matches anywhere in text, any bytes; what would take more steps or
 * memory than a match may counts as no match. (Not const: the pattern holds what
 * the matching needs.) */
bool pattern_matches(struct pattern *p, struct span text);
/* NULL is fine. */
void pattern_free(struct pattern *p);

#endif
