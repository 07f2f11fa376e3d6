#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/runtime/configuration.h"

static const char *host = "node-1";

/* In the place of the C library's, under another name for its headers: the host that these tests run on keeps its name.
 */
int name_of_host(char *name, size_t size) __asm__("gethostname");
int name_of_host(char *name, size_t size)
{
	snprintf(name, size, "%s", host);
	return 0;
}

static struct config *read_text(const char *text, struct buf *mistakes)
{
	char path[] = "/tmp/podvisor-configuration-XXXXXX";
	struct err err = {0};
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	struct config *config = configuration_read(path, 0, mistakes, &err);
	unlink(path);
	return config;
}

static void assert_instance(const char *text, const char *instance)
{
	struct buf mistakes;
	buf_init(&mistakes, 4096);
	struct config *config = read_text(text, &mistakes);
	assert_non_null(config);
	assert_string_equal(config->instance, instance);
	config_release(config);
	buf_fini(&mistakes);
}

/* Or a reload, which reads it again, would be refused because of an "instance" that nobody changed. */
static void a_host_that_is_renamed_stays_the_same_instance(void **state)
{
	(void)state;
	unsetenv("HOSTNAME");
	assert_instance("{}", "node-1");
	assert_instance("{\"instance\": \"${HOSTNAME}\"}", "node-1");
	host = "node-2";
	assert_instance("{}", "node-1");
	assert_instance("{\"instance\": \"${HOSTNAME}\"}", "node-1");
}

static void a_connection_string_that_libpq_refuses_is_a_mistake(void **state)
{
	(void)state;
	struct buf mistakes;
	buf_init(&mistakes, 4096);
	assert_null(read_text(
		"{ \"postgres\": {\n  \"main\": { \"dsn\": \"host=h hots=x password=hunter2\" } } }", &mistakes));
	assert_non_null(
		strstr(buf_str(&mistakes), ":2:20: postgres.main.dsn: is refused: libpq knows no option \"hots\""));
	assert_null(strstr(buf_str(&mistakes), "hunter2"));
	buf_fini(&mistakes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_that_is_renamed_stays_the_same_instance),
		cmocka_unit_test(a_connection_string_that_libpq_refuses_is_a_mistake),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
