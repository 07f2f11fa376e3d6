#include "podvisor/base/panic.h"

#include <stdlib.h>

void (*panic_handler)(const char *why);

void panic(const char *why)
{
	if (panic_handler)
		panic_handler(why);
	abort();
}
