#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/base/random.h"
#include "zone_file.h"

#define YEAR_S  31556952 /* mean Gregorian */
#define FROM_S  (-70 * (int64_t)YEAR_S)
#define UNTIL_S (530 * (int64_t)YEAR_S)

/* ---- against the C library ---- */

static void expect_libc(const char *name, const struct tzif *zone, int64_t at)
{
	struct tzperiod p = tzif_period(zone, at);
	if (p.offset_s != zone_offset_of_libc(at))
		fail_msg("%s at %lld: %d s ahead, %ld says the C library", name, (long long)at, p.offset_s,
			zone_offset_of_libc(at));
	assert_true(p.begins <= at && at < p.ends);
}

/* Each stretch at both its ends, and the next one where it ends. */
static void walk(const char *name, const struct tzif *zone)
{
	struct tzperiod p = tzif_period(zone, FROM_S);
	int stretches = 0;
	while (p.ends < UNTIL_S) {
		struct tzperiod next = tzif_period(zone, p.ends);
		expect_libc(name, zone, p.ends - 1);
		expect_libc(name, zone, p.ends);
		assert_true(next.begins == p.ends);
		p = next;
		assert_true(++stretches < 3000);
	}
}

static void look_around(const char *name, const struct tzif *zone)
{
	struct random random = {.state = strlen(name)};
	for (int i = 0; i < 500; i++)
		expect_libc(name, zone, FROM_S + (int64_t)random_below(&random, UNTIL_S - FROM_S));
}

/* Those whose rules are odd: negative summer time, half an hour, Ramadan, a day left out, two hours, far east and west.
 */
static void odd_zones_are_as_the_C_library_has_them(void **state)
{
	static const char *const names[] = {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Europe/Dublin",
		"Africa/Casablanca", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Pacific/Chatham",
		"Antarctica/Troll", "Asia/Kathmandu", "America/St_Johns", "America/Havana", "Asia/Beirut", "Etc/UTC",
		"Etc/GMT+12", "Etc/GMT-14", "EST5EDT", "Asia/Gaza", "America/Nuuk", "Africa/Monrovia"};
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct tzif *zone = zone_load(names[i]);
		walk(names[i], zone);
		look_around(names[i], zone);
		tzif_free(zone);
	}
}

static void every_zone_of_the_tz_database_is_as_the_C_library_has_it(void **state)
{
	char line[512], name[64];
	int zones = 0;
	(void)state;
	FILE *table = fopen(ZONE_DIR "zone1970.tab", "re");
	assert_non_null(table);
	while (fgets(line, sizeof(line), table)) {
		if (line[0] == '#' || sscanf(line, "%*s %*s %63s", name) != 1)
			continue;
		struct tzif *zone = zone_load(name);
		look_around(name, zone);
		tzif_free(zone);
		zones++;
	}
	fclose(table);
	assert_true(zones > 300);
}

/* ---- files made by hand ---- */

struct file {
	unsigned char bytes[1024];
	size_t len;
};

static void put(struct file *f, const void *bytes, size_t n)
{
	memcpy(f->bytes + f->len, bytes, n);
	f->len += n;
}

static void put_number(struct file *f, int64_t value, int n)
{
	while (n--)
		f->bytes[f->len++] = (unsigned char)((uint64_t)value >> (8 * n));
}

struct block {
	int uts, standards, leaps, changes, types, letters;
};

static void put_header(struct file *f, char version, struct block b)
{
	const int counts[] = {b.uts, b.standards, b.leaps, b.changes, b.types, b.letters};
	put(f, "TZif", 4);
	put(f, (char[16]){version}, 16);
	for (int i = 0; i < 6; i++)
		put_number(f, counts[i], 4);
}

static void put_type(struct file *f, int offset_s, int name)
{
	put_number(f, offset_s, 4);
	put_number(f, 0, 1);
	put_number(f, name, 1);
}

/* One change at 1000 from an hour ahead to two, and a footer. */
static struct file small(const char *footer)
{
	struct file f = {0};
	put_header(&f, '2', (struct block){.types = 1, .letters = 1});
	put_type(&f, 0, 0);
	put_number(&f, 0, 1);
	put_header(&f, '2', (struct block){.changes = 1, .types = 2, .letters = 4});
	put_number(&f, 1000, 8);
	put_number(&f, 1, 1);
	put_type(&f, 3600, 0);
	put_type(&f, 7200, 0);
	put(&f, "ABC", 4);
	put(&f, footer, strlen(footer));
	return f;
}

#define SMALL_SECOND 51 /* where the second header begins */

static void expect_refused(const struct file *f, const char *why)
{
	struct err err = {0};
	assert_null(tzif_parse(f->bytes, f->len, &err));
	assert_string_equal(err.text, why);
}

static int32_t offset_at(const struct file *f, int64_t at)
{
	struct err err = {0};
	struct tzif *zone = tzif_parse(f->bytes, f->len, &err);
	if (!zone)
		fail_msg("%s", err.text);
	int32_t offset = tzif_period(zone, at).offset_s;
	tzif_free(zone);
	return offset;
}

static void before_the_table_the_first_type_counts_and_without_a_rule_the_last_goes_on(void **state)
{
	(void)state;
	struct file f = small("\n\n");
	assert_int_equal(offset_at(&f, -1000000), 3600);
	assert_int_equal(offset_at(&f, 999), 3600);
	assert_int_equal(offset_at(&f, 1000), 7200);
	assert_int_equal(offset_at(&f, 4000000000), 7200);
}

static void beyond_the_table_the_rule_counts(void **state)
{
	(void)state;
	struct file f = small("\nXYZ-3\n");
	assert_int_equal(offset_at(&f, 999), 3600);
	assert_int_equal(offset_at(&f, 1000), 3 * 3600);
}

static void a_file_of_the_first_version_has_32_bit_times_and_no_rule(void **state)
{
	struct file f = {0};
	(void)state;
	put_header(&f, '\0', (struct block){.changes = 1, .types = 2, .letters = 4});
	put_number(&f, -5, 4);
	put_number(&f, 1, 1);
	put_type(&f, -3600, 0);
	put_type(&f, 5400, 0);
	put(&f, "ABC", 4);
	assert_int_equal(offset_at(&f, -6), -3600);
	assert_int_equal(offset_at(&f, -5), 5400);
	f.len--;
	expect_refused(&f, "is cut off");
}

static void a_file_that_is_cut_off_anywhere_is_refused(void **state)
{
	struct file f = small("\nXYZ-3\n");
	(void)state;
	for (size_t len = 0; len < f.len; len++) {
		struct err err = {0};
		unsigned char *exact = malloc(len + 1); /* so that a sanitizer sees a byte read beyond */
		memcpy(exact, f.bytes, len);
		assert_null(tzif_parse(exact, len, &err));
		assert_true(err.code < 0 && err.text[0]);
		free(exact);
	}
	struct file text = {.len = 44};
	memset(text.bytes, 'x', text.len);
	expect_refused(&text, "is no TZif file");
}

static void a_file_that_contradicts_itself_is_refused(void **state)
{
	const size_t counts = SMALL_SECOND + 20, times = SMALL_SECOND + 44, types = times + 9;
	const char *a_type = "contradicts itself: a local time type does not fit";
	static const char *a_change = "contradicts itself: its changes do not fit";
	struct {
		size_t at;
		unsigned char byte;
		const char *why;
	} const cases[] = {{counts + 3, 1, "contradicts itself: its counts do not fit"}, {times + 8, 2, a_change},
		{times, 0x40, a_change}, {types, 0x7f, a_type}, {types + 4, 2, a_type}, {types + 5, 4, a_type},
		{types + 15, 'D', a_type}, {counts, 0xff, "is cut off"}};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct file f = small("\nXYZ-3\n");
		f.bytes[cases[i].at] = cases[i].byte;
		expect_refused(&f, cases[i].why);
	}
}

static void a_file_that_counts_leap_seconds_is_refused(void **state)
{
	struct file f = {0};
	(void)state;
	put_header(&f, '\0', (struct block){.types = 1, .letters = 1, .leaps = 1});
	put_type(&f, 0, 0);
	put_number(&f, 0, 1);
	put_number(&f, 78796800, 4);
	put_number(&f, 1, 4);
	expect_refused(&f, "counts leap seconds, as Unix time does not");
}

static void a_huge_file_is_refused(void **state)
{
	static unsigned char bytes[TZIF_BYTES_MAX + 1];
	struct err err = {0};
	(void)state;
	assert_null(tzif_parse(bytes, sizeof(bytes), &err));
	assert_string_equal(err.text, "is too large for a time zone");
}

static void utc_needs_no_file(void **state)
{
	(void)state;
	struct tzperiod p = tzif_period(NULL, 1234567890);
	assert_true(p.begins == INT64_MIN && p.ends == INT64_MAX && p.offset_s == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(odd_zones_are_as_the_C_library_has_them),
		cmocka_unit_test(every_zone_of_the_tz_database_is_as_the_C_library_has_it),
		cmocka_unit_test(before_the_table_the_first_type_counts_and_without_a_rule_the_last_goes_on),
		cmocka_unit_test(beyond_the_table_the_rule_counts),
		cmocka_unit_test(a_file_of_the_first_version_has_32_bit_times_and_no_rule),
		cmocka_unit_test(a_file_that_is_cut_off_anywhere_is_refused),
		cmocka_unit_test(a_file_that_contradicts_itself_is_refused),
		cmocka_unit_test(a_file_that_counts_leap_seconds_is_refused),
		cmocka_unit_test(a_huge_file_is_refused),
		cmocka_unit_test(utc_needs_no_file),
	};
	return cmocka_run_group_tests_name("tzif", tests, NULL, NULL);
}
