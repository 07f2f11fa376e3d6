#include "podvisor/base/secret.h"

#include <string.h>

bool secret_matches(struct span given, const char *secret)
{
	size_t n = strlen(secret);
	volatile unsigned char differ = given.len != n; /* volatile: not to be left early */
	for (size_t i = 0; i < given.len; i++)
		differ |= (unsigned char)(given.at[i] ^ secret[n ? i % n : 0]);
	return n && !differ;
}
