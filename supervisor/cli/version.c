#include "podvisor/cli/version.h"

#include <jansson.h>
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "podvisor/cli/output.h"
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

enum { TEXT_MAX = 64 };

/* A library that is loaded late, and its call that returns its version as text:
 * "4.1.6-abcdef", "libcurl/7.88.1 OpenSSL/3.0.19 ...". "" when it cannot be loaded, with the reason in err. */
static void ask_library(const char *soname, const char *symbol, char out[TEXT_MAX], struct err *err)
{
	const char *(*version)(void) = NULL;
	const struct library_call call = {symbol, &version};
	if (library_load(soname, &call, 1, err) < 0)
		return;
	const char *text = version(), *slash = strchr(text, '/');
	if (slash && slash < text + strcspn(text, " "))
		text = slash + 1;
	snprintf(out, TEXT_MAX, "%.*s", (int)strcspn(text, " -"), text);
}

static void ask_curl(char out[TEXT_MAX], struct err *err)
{
	ask_library("libcurl.so.4", "curl_version", out, err);
}

static void ask_websockets(char out[TEXT_MAX], struct err *err)
{
	ask_library("libwebsockets.so.17", "lws_get_library_version", out, err);
}

/* PQlibVersion(): 150016 is 15.16 (since PostgreSQL 10). */
static void ask_libpq(char out[TEXT_MAX], struct err *err)
{
	int (*version)(void) = NULL;
	const struct library_call call = {"PQlibVersion", &version};
	if (library_load("libpq.so.5", &call, 1, err) == 0)
		snprintf(out, TEXT_MAX, "%d.%d", version() / 10000, version() % 10000);
}

static void ask_libuv(char out[TEXT_MAX], struct err *err)
{
	(void)err;
	snprintf(out, TEXT_MAX, "%s", uv_version_string());
}

static void ask_jansson(char out[TEXT_MAX], struct err *err)
{
	(void)err;
	snprintf(out, TEXT_MAX, "%s", jansson_version_str());
}

/* "10.42 2022-12-11" */
static void ask_pcre2(char out[TEXT_MAX], struct err *err)
{
	char text[TEXT_MAX] = "";
	(void)err;
	if (pcre2_config(PCRE2_CONFIG_VERSION, NULL) <= TEXT_MAX)
		pcre2_config(PCRE2_CONFIG_VERSION, text);
	snprintf(out, TEXT_MAX, "%.*s", (int)strcspn(text, " "), text);
}

static const struct {
	const char *name;
	void (*ask)(char out[TEXT_MAX], struct err *err);
} libraries[] = {{"libuv", ask_libuv}, {"libpq", ask_libpq}, {"libcurl", ask_curl}, {"jansson", ask_jansson},
	{"libwebsockets", ask_websockets}, {"pcre2", ask_pcre2}};
enum { N_LIBRARIES = sizeof(libraries) / sizeof(libraries[0]) };

const char *version_text(void)
{
	return PODVISOR_VERSION;
}

static int print_json(const struct options *o)
{
	json_t *known = json_object();
	for (int i = 0; i < N_LIBRARIES; i++) {
		char text[TEXT_MAX] = "";
		struct err err;
		libraries[i].ask(text, &err);
		json_object_set_new(known, libraries[i].name, text[0] ? json_string(text) : json_null());
	}
	return output_json(
		o->verb, json_pack("{s:s,s:{s:s,s:s,s:b},s:o}", "version", PODVISOR_VERSION, "build", "compiler",
				 COMPILER, "machine", MACHINE, "sanitized", FLAVOUR[0] != '\0', "libraries", known));
}

int version_run(const struct options *o)
{
	if (o->given[OPTION_JSON])
		return print_json(o);
	printf("podvisor %s\nbuild: %s, %s" FLAVOUR "\n", PODVISOR_VERSION, COMPILER, MACHINE);
	for (int i = 0; i < N_LIBRARIES; i++) {
		char text[TEXT_MAX] = "";
		struct err err;
		libraries[i].ask(text, &err);
		printf("%s: %s\n", libraries[i].name, text[0] ? text : err.text);
	}
	return 0;
}
