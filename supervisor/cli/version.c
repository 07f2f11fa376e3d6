#include "podvisor/cli/version.h"

#include <jansson.h>
#include <string.h>
#include <uv.h>

#include "podvisor/io/library.h"

#ifndef PODVISOR_VERSION
#define PODVISOR_VERSION "unknown"
#endif

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

#if defined(__SANITIZE_ADDRESS__)
#define FLAVOUR ", sanitized"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FLAVOUR ", sanitized"
#endif
#endif
#ifndef FLAVOUR
#define FLAVOUR ""
#endif

#if defined(__x86_64__)
#define MACHINE "x86_64"
#elif defined(__aarch64__)
#define MACHINE "aarch64"
#else
#define MACHINE "another machine"
#endif

/* A library that is loaded late, and its call that returns its version as text:
 * "4.1.6-abcdef", "libcurl/7.88.1 OpenSSL/3.0.19 ...". */
static void tell_library(const char *name, const char *soname, const char *symbol)
{
	const char *(*version)(void) = NULL;
	struct err err;
	const struct library_call call = {symbol, &version};
	if (library_load(soname, &call, 1, &err) < 0)
		printf("%s: %s\n", name, err.text);
	else
		printf("%s: %.*s\n", name, (int)strcspn(version(), " -"), version());
}

/* PQlibVersion(): 150016 is 15.16 (since PostgreSQL 10). */
static void tell_libpq(void)
{
	int (*version)(void) = NULL;
	struct err err;
	const struct library_call call = {"PQlibVersion", &version};
	if (library_load("libpq.so.5", &call, 1, &err) < 0)
		printf("libpq: %s\n", err.text);
	else
		printf("libpq: %d.%d\n", version() / 10000, version() % 10000);
}

const char *version_text(void)
{
	return PODVISOR_VERSION;
}

int version_run(const struct options *o)
{
	(void)o;
	printf("podvisor %s\nbuild: %s, %s" FLAVOUR "\n", PODVISOR_VERSION, COMPILER, MACHINE);
	printf("libuv: %s\n", uv_version_string());
	tell_libpq();
	tell_library("libcurl", "libcurl.so.4", "curl_version");
	printf("jansson: %s\n", jansson_version_str());
	tell_library("libwebsockets", "libwebsockets.so.17", "lws_get_library_version");
	return 0;
}
