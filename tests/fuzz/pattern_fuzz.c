/* Any pattern is taken or refused with a sentence, and one that is taken answers the same about a text each time. */
#include "fuzz.h"

#include <string.h>

#include "podvisor/base/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[512];
	struct pattern *p = NULL;
	struct err err = {0};
	size_t n = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
	memcpy(text, data, n);
	text[n] = '\0';
	if (pattern_new(&p, text, &err) < 0) {
		PROMISE(err.text[0] && !p);
		return 0;
	}
	/* The text behind the pattern, if there is one; else the pattern itself. */
	size_t used = strlen(text) < n ? strlen(text) + 1 : 0;
	struct span rest = {(const char *)data + used, size - used};
	PROMISE(pattern_matches(p, rest) == pattern_matches(p, rest));
	pattern_free(p);
	return 0;
}
