#include "postgres_internal.h"

#include "podvisor/io/library.h"

struct postgres_library postgres_pq;

static uv_once_t load_once = UV_ONCE_INIT;
static struct err load_error; /* code 0: loaded */

static void load(void)
{
	static const struct library_call calls[] = {
#define PQ_CALL(name) {"PQ" #name, &pq.name},
		POSTGRES_CALLS(PQ_CALL)
#undef PQ_CALL
	};
	load_error.code = library_load("libpq.so.5", calls, sizeof(calls) / sizeof(calls[0]), &load_error);
}

int postgres_load(struct err *err)
{
	uv_once(&load_once, load);
	*err = load_error;
	return load_error.code;
}
