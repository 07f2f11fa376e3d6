/* nearest owns guessing which known word somebody meant: the one with the
 * fewest edits (insert, delete, replace, swap neighbours), if they are few. */
#ifndef PODVISOR_BASE_NEAREST_H
#define PODVISOR_BASE_NEAREST_H

#include <stddef.h>

/* Longer words are never offered as a guess, which bounds the work. */
#define NEAREST_WORD_MAX 64

struct nearest {
	const char *word; /* borrowed */
	const char *best; /* borrowed from the candidates; NULL while none is near */
	size_t distance; /* of best */
};

void nearest_init(struct nearest *n, const char *word);
/* Considers one candidate; of equally near ones the first stays. */
void nearest_offer(struct nearest *n, const char *candidate);

/* Edits between two words, letters compared without case; a difference in case
 * alone counts as nothing. SIZE_MAX when one is longer than NEAREST_WORD_MAX. */
size_t nearest_distance(const char *a, const char *b);

#endif
