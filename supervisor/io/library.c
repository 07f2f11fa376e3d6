#include "podvisor/io/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int library_load(const char *soname, const struct library_call *calls, size_t n, struct err *err)
{
	void *handle = dlopen(soname, RTLD_NOW | RTLD_LOCAL);
	if (!handle)
		return err_set(err, -ELIBACC, "cannot load %s: %s", soname, dlerror());
	for (size_t i = 0; i < n; i++) {
		void *address = dlsym(handle, calls[i].symbol);
		if (!address)
			return err_set(err, -ELIBACC, "%s is too old: it has no %s", soname, calls[i].symbol);
		memcpy(calls[i].slot, &address, sizeof(address));
	}
	return 0;
}
