/* library owns the late loading of the big shared libraries (libcurl, libpq):
 * each costs megabytes of memory and dozens of relocations, so a podvisor that
 * checks nothing over HTTP and watches no database never maps them. */
#ifndef PODVISOR_IO_LIBRARY_H
#define PODVISOR_IO_LIBRARY_H

#include <stddef.h>

#include "podvisor/base/err.h"

/* One function that is wanted of a library, and where its address goes. */
struct library_call {
	const char *symbol;
	void *slot; /* address of a function pointer (dlsym(3), APPLICATION USAGE) */
};

/* dlopen(3)s soname and fills the slots of all calls. Reads the disk and runs
 * constructors: call it off the loop. It is never unloaded. -ELIBACC with a
 * sentence when the library or one of the calls is missing. */
int library_load(const char *soname, const struct library_call *calls, size_t n, struct err *err) MUST_CHECK;

#endif
