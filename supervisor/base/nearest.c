#include "podvisor/base/nearest.h"

#include <stdint.h>
#include <string.h>

/* Locale-free: tolower() would make the guess depend on the environment. */
static int lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment, three rows of the matrix at a time. */
size_t nearest_distance(const char *a, const char *b)
{
	size_t rows[3][NEAREST_WORD_MAX + 1];
	size_t n = strlen(a), m = strlen(b);
	if (n > NEAREST_WORD_MAX || m > NEAREST_WORD_MAX)
		return SIZE_MAX;
	size_t *before = rows[0], *above = rows[1], *row = rows[2];
	for (size_t j = 0; j <= m; j++)
		above[j] = j;
	for (size_t i = 1; i <= n; i++) {
		row[0] = i;
		for (size_t j = 1; j <= m; j++) {
			size_t change = lower(a[i - 1]) != lower(b[j - 1]);
			row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + change);
			if (i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) && lower(a[i - 2]) == lower(b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
		size_t *oldest = before;
		before = above;
		above = row;
		row = oldest;
	}
	return above[m];
}

void nearest_init(struct nearest *n, const char *word)
{
	*n = (struct nearest){.word = word, .distance = SIZE_MAX};
}

void nearest_offer(struct nearest *n, const char *candidate)
{
	size_t distance = nearest_distance(n->word, candidate);
	size_t longer = strlen(candidate) > strlen(n->word) ? strlen(candidate) : strlen(n->word);
	/* One edit in three letters: "comand" yes, "port" for "path" no. */
	if (distance < n->distance && distance <= longer / 3) {
		n->distance = distance;
		n->best = candidate;
	}
}
