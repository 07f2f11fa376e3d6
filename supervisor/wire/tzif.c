#include "podvisor/wire/tzif.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/wire/tzrule.h"

#define HEADER_BYTES 44
#define TYPE_BYTES   6
#define TIME_MAX_S   ((int64_t)1 << 59) /* RFC 9636 3.2: earlier times should not be used */

struct tzif {
	struct tzrule rule; /* beyond the table */
	bool has_rule;
	int32_t first_offset_s; /* before the table */
	size_t n;
	struct {
		int64_t at;
		int32_t offset_s; /* from then on */
	} changes[];
};

/* ---- the file ---- */

/* One of the file's blocks: the header's counts, and where each part begins. */
struct block {
	size_t leaps, changes, types, letters, standards, uts;
	size_t time_bytes;
	const uint8_t *times, *kinds, *type_list, *letter_list, *end;
};

static uint64_t read_big_endian(const uint8_t *at, size_t n)
{
	uint64_t value = 0;
	while (n--)
		value = value << 8 | *at++;
	return value;
}

static int64_t read_time(const uint8_t *at, size_t bytes)
{
	return bytes == 8 ? (int64_t)read_big_endian(at, 8) : (int32_t)read_big_endian(at, 4);
}

static bool refuse(struct err *err, const char *why)
{
	err_set(err, -EINVAL, "%s", why);
	return false;
}

/* The header at `at`, and its block behind it. */
static bool find_block(const uint8_t *at, const uint8_t *end, size_t time_bytes, struct block *b, struct err *err)
{
	size_t *const counts[] = {&b->uts, &b->standards, &b->leaps, &b->changes, &b->types, &b->letters};
	if (end - at < HEADER_BYTES || memcmp(at, "TZif", 4) != 0)
		return refuse(err, "is no TZif file");
	for (size_t i = 0; i < 6; i++)
		*counts[i] = (size_t)read_big_endian(at + 20 + i * 4, 4);
	b->time_bytes = time_bytes;
	b->times = at + HEADER_BYTES;
	uint64_t need = (uint64_t)b->changes * (time_bytes + 1) + (uint64_t)b->types * TYPE_BYTES + b->letters +
			(uint64_t)b->leaps * (time_bytes + 4) + b->standards + b->uts;
	if (need > (uint64_t)(end - b->times))
		return refuse(err, "is cut off");
	b->kinds = b->times + b->changes * time_bytes;
	b->type_list = b->kinds + b->changes;
	b->letter_list = b->type_list + b->types * TYPE_BYTES;
	b->end = b->times + need;
	return true;
}

static bool check_types(const struct block *b, struct err *err)
{
	bool flags_fit = (b->uts == 0 || b->uts == b->types) && (b->standards == 0 || b->standards == b->types);
	if (b->types == 0 || b->types > 256 || b->letters == 0 || !flags_fit)
		return refuse(err, "contradicts itself: its counts do not fit");
	for (size_t i = 0; i < b->types; i++) {
		const uint8_t *type = b->type_list + i * TYPE_BYTES;
		int32_t offset_s = (int32_t)read_big_endian(type, 4);
		bool named = type[5] < b->letters && memchr(b->letter_list + type[5], '\0', b->letters - type[5]);
		if (offset_s < -TZPERIOD_OFFSET_MAX_S || offset_s > TZPERIOD_OFFSET_MAX_S || type[4] > 1 || !named)
			return refuse(err, "contradicts itself: a local time type does not fit");
	}
	return true;
}

static bool check_changes(const struct block *b, struct err *err)
{
	int64_t before = -TIME_MAX_S - 1;
	for (size_t i = 0; i < b->changes; i++) {
		int64_t at = read_time(b->times + i * b->time_bytes, b->time_bytes);
		if (at <= before || at > TIME_MAX_S || b->kinds[i] >= b->types)
			return refuse(err, "contradicts itself: its changes do not fit");
		before = at;
	}
	return true;
}

static bool check_block(const struct block *b, struct err *err)
{
	if (b->leaps)
		return refuse(err, "counts leap seconds, as Unix time does not");
	return check_types(b, err) && check_changes(b, err);
}

/* "\nCET-1CEST,M3.5.0,M10.5.0/3\n"; nothing between the two means that nothing is known. */
static bool read_footer(const uint8_t *at, const uint8_t *end, struct tzif *zone, struct err *err)
{
	const uint8_t *last = at < end && *at == '\n' ? memchr(at + 1, '\n', (size_t)(end - at - 1)) : NULL;
	if (!last)
		return refuse(err, "is cut off");
	zone->has_rule = last > at + 1;
	return !zone->has_rule || tzrule_parse((const char *)at + 1, (size_t)(last - at - 1), &zone->rule, err) == 0;
}

static int32_t offset_of(const struct block *b, size_t type)
{
	return (int32_t)read_big_endian(b->type_list + type * TYPE_BYTES, 4);
}

static struct tzif *take_block(const struct block *b)
{
	struct tzif *zone = calloc(1, sizeof(*zone) + b->changes * sizeof(zone->changes[0]));
	if (!zone)
		return NULL;
	zone->first_offset_s = offset_of(b, 0);
	zone->n = b->changes;
	for (size_t i = 0; i < b->changes; i++) {
		zone->changes[i].at = read_time(b->times + i * b->time_bytes, b->time_bytes);
		zone->changes[i].offset_s = offset_of(b, b->kinds[i]);
	}
	return zone;
}

struct tzif *tzif_parse(const void *bytes, size_t len, struct err *err)
{
	const uint8_t *at = bytes, *end = at + len;
	struct block b = {0};
	if (len > TZIF_BYTES_MAX)
		return err_set(err, -EFBIG, "is too large for a time zone"), NULL;
	if (!find_block(at, end, 4, &b, err))
		return NULL;
	/* The first block is for readers that know nothing but 32-bit times. */
	bool footed = at[4] >= '2';
	if ((footed && !find_block(b.end, end, 8, &b, err)) || !check_block(&b, err))
		return NULL;
	struct tzif *zone = take_block(&b);
	if (!zone)
		return err_set(err, -ENOMEM, "needs more memory than there is"), NULL;
	if (footed && !read_footer(b.end, end, zone, err)) {
		free(zone);
		return NULL;
	}
	return zone;
}

void tzif_free(struct tzif *zone)
{
	free(zone);
}

/* ---- the time ---- */

/* How many changes lie at or before that time. */
static size_t changes_until(const struct tzif *zone, int64_t unix_s)
{
	size_t low = 0, high = zone->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (zone->changes[middle].at <= unix_s)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct tzperiod tzif_period(const struct tzif *zone, int64_t unix_s)
{
	struct tzperiod p = {INT64_MIN, INT64_MAX, 0};
	if (!zone)
		return p;
	size_t i = changes_until(zone, unix_s);
	if (i == zone->n && zone->has_rule)
		p = tzrule_period(&zone->rule, unix_s);
	else
		p.offset_s = i ? zone->changes[i - 1].offset_s : zone->first_offset_s;
	if (i && zone->changes[i - 1].at > p.begins)
		p.begins = zone->changes[i - 1].at;
	if (i < zone->n)
		p.ends = zone->changes[i].at;
	return p;
}
