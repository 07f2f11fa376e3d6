/* fuzz owns what the fuzzers share: how a broken promise is told to libFuzzer. */
#ifndef PODVISOR_TESTS_FUZZ_H
#define PODVISOR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define PROMISE(holds)           \
	do {                     \
		if (!(holds))    \
			abort(); \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
