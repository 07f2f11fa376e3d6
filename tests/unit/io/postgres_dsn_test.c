#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/io/postgres_dsn.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SECRET       "hunter2pw"

static void what_libpq_takes_is_taken(void **state)
{
	(void)state;
	static const char *const dsns[] = {
		"host=db dbname=backend",
		"postgres://u:" SECRET "@db/backend",
		"postgresql://u:p%40%2F" SECRET "@db:5433/backend?sslmode=require&connect_timeout=3",
		"postgresql://a:1,b:2/x?target_session_attrs=read-write",
		"host=a,b port=1,2",
		"host=/run/postgresql user=app",
		"postgresql://[::1]:5432/x",
		"postgresql:///x?host=/run/postgresql",
		"hostaddr=127.0.0.1 host=db",
		"service=backend",
		"host=h password='with a \\' and blanks'",
		"  host = h  port = 5432 ",
		"host=db sslmode=verify-full sslrootcert=/etc/ca.pem",
		"host=db gssencmode=disable",
		"",
	};
	unsetenv("PGSERVICE");
	for (size_t i = 0; i < COUNT(dsns); i++) {
		struct err err = {0};
		int rc = postgres_dsn_check(dsns[i], &err);
		if (rc)
			print_error("%s: %s\n", dsns[i], err.text);
		assert_int_equal(rc, 0);
	}
}

static void what_libpq_refuses_is_refused_and_named_without_its_secrets(void **state)
{
	(void)state;
	static const struct {
		const char *dsn, *sentence;
	} cases[] = {
		{"host=h hots=b", "libpq knows no option \"hots\" (did you mean \"host\"?)"},
		{"host=h password=" SECRET " sslmod=require", "did you mean \"sslmode\"?"},
		{"postgres://u:" SECRET "@db/x?sslmod=require",
			"libpq knows no option \"sslmod\" (did you mean \"sslmode\"?)"},
		{"postgres://db/x?schema=public", "libpq knows no option \"schema\""},
		{"host=h password=my " SECRET "=1", "with blanks it stands in single quotes"},
		{"host=h password='' " SECRET "=1", "an option that libpq does not know"},
		{"postgres://u@db/x?password=my&" SECRET "=1", "percent-encoded"},
		{"postgres://u:my/x?" SECRET "=1@db/x", "percent-encoded"},
		{"host=h password=my " SECRET, "a word in it has no \"=\""},
		{"backend", "a word in it has no \"=\""},
		{"mysql://u:" SECRET "@db/x", "a word in it has no \"=\""},
		{"host=h password='" SECRET, "a quote in it is not closed"},
		{"postgres://u:%zz" SECRET "@db/x", "(%25 is a percent sign)"},
		{"postgres://u:" SECRET "%00@db/x", "a % in it"},
		{"postgres://u:" SECRET "@[::1/x", "a [ in it is not closed"},
		{"postgres://u:" SECRET "@[]/x", "[ ] in it are empty"},
		{"postgres://u:" SECRET "@[::1]x/y", "behind its ] stands"},
		{"postgres://db/x?password=" SECRET "=2", "a parameter behind its ? is not NAME=VALUE"},
		{"postgres://db/x?" SECRET, "a parameter behind its ? is not NAME=VALUE"},
		{"postgres://u:p@" SECRET "@db/x", "is one in the password not written as %40?"},
		{"postgres://u:" SECRET "/x@db/y", "its port is not a number"},
		{"host=h port=5432x", "its port is not a number"},
		{"host=h port=99999", "does not take the value of its option \"port\""},
		{"host=h sslmode=" SECRET, "does not take the value of its option \"sslmode\""},
		{"host=h target_session_attrs=best", "does not take the value of its option \"target_session_attrs\""},
		{"host=h channel_binding=maybe", "does not take the value of its option \"channel_binding\""},
		{"host=h gssencmode=never", "does not take the value of its option \"gssencmode\""},
		{"host=h ssl_min_protocol_version=TLSv9", "its option \"ssl_min_protocol_version\""},
		{"host=a,b port=1,2,3", "different numbers of hosts, addresses and ports"},
	};
	unsetenv("PGSERVICE");
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct err err = {0};
		int rc = postgres_dsn_check(cases[i].dsn, &err);
		if (rc == 0 || !strstr(err.text, cases[i].sentence))
			print_error("%s: %s\n", cases[i].dsn, err.text);
		assert_true(rc < 0);
		assert_non_null(strstr(err.text, cases[i].sentence));
		assert_null(strstr(err.text, SECRET));
	}
}

static void what_stands_around_the_string_is_not_judged(void **state)
{
	(void)state;
	setenv("PGSERVICE", "of-somebody-else", 1);
	setenv("PGSERVICEFILE", "/nonexistent/service.conf", 1);
	setenv("PGPASSFILE", "/nonexistent/pgpass", 1);
	assert_int_equal(postgres_dsn_check("host=db service=mine", NULL), 0);
	assert_int_equal(postgres_dsn_check("host=db", NULL), 0);
	unsetenv("PGSERVICE");
	unsetenv("PGSERVICEFILE");
	unsetenv("PGPASSFILE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_libpq_takes_is_taken),
		cmocka_unit_test(what_libpq_refuses_is_refused_and_named_without_its_secrets),
		cmocka_unit_test(what_stands_around_the_string_is_not_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
