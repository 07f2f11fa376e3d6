/* glob owns the matching of relative paths against patterns: "*" stands for
 * anything within a name, "?" for one character of it, and "**", alone between
 * slashes, for any number of directories, none included; at the end for
 * everything below. A dot is a character like any other. */
#ifndef PODVISOR_BASE_GLOB_H
#define PODVISOR_BASE_GLOB_H

#include <stdbool.h>

/* The time is bounded by the product of the two lengths. */
bool glob_matches(const char *pattern, const char *path);
/* Whether it is such a pattern: names that are not empty, without ".", ".." and the brackets and backslashes that mean
 * something elsewhere, and "**" alone between its slashes. */
bool glob_is_valid(const char *pattern);

#endif
