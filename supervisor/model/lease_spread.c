#include "podvisor/model/lease_spread.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "podvisor/base/panic.h"

struct pair {
	uint64_t score;
	size_t lease, member;
};

/* FNV-1a, and a last mix, for its high bits are poor for short texts. */
static uint64_t hash(uint64_t h, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	for (size_t i = 0; i < size; i++)
		h = (h ^ bytes[i]) * 0x100000001b3U;
	return h;
}

static uint64_t score(const char *name, uint64_t lease, const char *member)
{
	uint64_t h = hash(0xcbf29ce484222325U, name, strlen(name) + 1);
	for (int i = 0; i < 8; i++)
		h = (h ^ ((lease >> (8 * i)) & 0xff)) * 0x100000001b3U;
	h = hash(h, member, strlen(member));
	h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdU;
	h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53U;
	return h ^ (h >> 33);
}

/* The highest score first. Equal ones by the number of the lease; members of one lease hardly ever tie. */
static int compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	if (x->score != y->score)
		return x->score < y->score ? 1 : -1;
	return x->lease < y->lease ? -1 : x->lease > y->lease;
}

static size_t count_live(const struct lease_member *members, size_t n)
{
	size_t live = 0;
	for (size_t i = 0; i < n; i++)
		live += !members[i].draining;
	return live;
}

static size_t make_pairs(
	struct pair *pairs, const char *name, size_t n_leases, const struct lease_member *members, size_t n_members)
{
	size_t n = 0;
	for (size_t l = 0; l < n_leases; l++)
		for (size_t m = 0; m < n_members; m++)
			if (!members[m].draining)
				pairs[n++] =
					(struct pair){.score = score(name, l, members[m].id), .lease = l, .member = m};
	qsort(pairs, n, sizeof(*pairs), compare);
	return n;
}

/* Everybody gets the even share, and as many as there are left over get one more. */
static void deal(const struct pair *pairs, size_t n_pairs, size_t n_leases, size_t live, size_t nobody, size_t *load,
	size_t *owner)
{
	size_t share = n_leases / live, extra = n_leases % live;
	for (size_t i = 0; i < n_pairs; i++) {
		const struct pair *p = &pairs[i];
		bool more = load[p->member] == share && extra > 0;
		if (owner[p->lease] != nobody || (load[p->member] >= share && !more))
			continue;
		extra -= more;
		load[p->member]++;
		owner[p->lease] = p->member;
	}
}

void lease_spread(
	const char *name, size_t n_leases, const struct lease_member *members, size_t n_members, size_t *owner)
{
	size_t live = count_live(members, n_members);
	for (size_t i = 0; i < n_leases; i++)
		owner[i] = n_members;
	if (!live || !n_leases)
		return;
	struct pair *pairs = calloc(n_leases * live, sizeof(*pairs));
	size_t *load = calloc(n_members, sizeof(*load));
	if (!pairs || !load)
		panic("out of memory");
	size_t n = make_pairs(pairs, name, n_leases, members, n_members);
	deal(pairs, n, n_leases, live, n_members, load, owner);
	free(load);
	free(pairs);
}

size_t lease_spread_surplus(const size_t *owner, const bool *held, size_t n_leases, size_t me, size_t n_members)
{
	for (size_t i = 0; i < n_leases; i++)
		if (held[i] && owner[i] != me && owner[i] != n_members)
			return i;
	return n_leases;
}
