/* pattern owns POSIX extended regular expressions that are only asked whether
 * they match. The C library's are no choice for lines that never end to come:
 * glibc's regexec keeps every state it ever met (x(a|b)*a(a|b){18} grew without
 * end over 20,000 lines) and its errors name no place. Here a pattern takes a
 * fixed memory and a text takes time in proportion to its length, whatever
 * stands in either. */
#ifndef PODVISOR_BASE_PATTERN_H
#define PODVISOR_BASE_PATTERN_H

#include <stdbool.h>

#include "podvisor/base/err.h"
#include "podvisor/base/span.h"

/* ERE of POSIX (IEEE Std 1003.1, 9.4) over bytes, in the C locale: . [] [^] ()
 * | * + ? {n,m} ^ $ and classes such as [:alpha:]. Beside it \d \w \s, their
 * opposites \D \W \S, and \t; a backslash escapes within brackets, too. No
 * collating elements, no back-references, no character beyond ASCII in brackets. */
struct pattern;

#define PATTERN_REPEAT_MAX 255 /* of {n,m}, as POSIX' RE_DUP_MAX */

/* -EINVAL with a sentence that names the character at fault, counted from 1;
 * -E2BIG: repetitions of repetitions make it too large; -ENOMEM. */
int pattern_new(struct pattern **out, const char *text, struct err *err) MUST_CHECK;
/* Whether it matches anywhere in text, any bytes. (Not const: the pattern holds
 * what the matching needs.) */
bool pattern_matches(struct pattern *p, struct span text);
/* NULL is fine. */
void pattern_free(struct pattern *p);

#endif
