/* lease_book owns all the leases that the workers of this replica name, what they need of them this turn, and who is
 * asked for them. It is one for all backends, and survives reloads: a lease stays in it, asleep, when nobody names it
 * any more. */
#ifndef PODVISOR_MODEL_LEASE_BOOK_H
#define PODVISOR_MODEL_LEASE_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/histogram.h"
#include "podvisor/model/config.h"
#include "podvisor/model/event.h"
#include "podvisor/model/lease.h"

#define LEASE_NAME_MAX    (CONFIG_LEASE_MAX + 16) /* "NAME/4095" */
#define LEASE_MEMBERS_MAX 64 /* replicas that leases are spread over */

/* What a worker says of the lease that it runs under. */
struct lease_need {
	const char *name;
	int index, shares; /* which of how many leases of that name; shares 0: there is but one */
	bool offered; /* it wants to run, and could run here */
	bool tree; /* a process of it lives, or may live */
	bool keep; /* it goes on without a database */
};

struct lease_entry {
	char name[LEASE_NAME_MAX];
	char group[CONFIG_LEASE_MAX]; /* the name without the number */
	int index, shares;
	bool mine; /* of a spread one: it is this replica's share */
	bool given_up; /* it is not, and is passed on */
	bool offered;
	struct lease_settings settings;
	struct lease_epoch epoch; /* of its object; in a database all leases share that of the book */
	struct lease lease;
	bool named; /* by a worker, this turn */
	struct lease_wish wish;
	struct lease_orders orders; /* the newest; EFFECT_LEASE_ASK tells that there are some */
	ms_t hinted_at; /* when a hint came that has not been followed by a grant yet; 0: none */
	char trouble[EVENT_TEXT_MAX]; /* why the newest request failed; "" */
};

struct lease_book {
	struct lease_settings settings; /* of each, but for keep */
	bool objects; /* the backend keeps each lease as an object with a history of its own */
	struct lease_epoch epoch;
	struct lease_entry **entries; /* owned; an index stays a lease's */
	size_t n;
	struct histogram handover_seconds; /* from a hint to the grant */
	struct lease_members {
		char ids[LEASE_MEMBERS_MAX][LEASE_HOLDER_MAX];
		int n;
	} members, coming; /* replicas that take part, as last heard; and while they are told */
	bool shuffled; /* the shares are to be dealt out anew */
	ms_t meet_at; /* of the next heartbeat */
	bool left; /* the newest heartbeat said goodbye */
};

/* me: who this replica is (lease_settings). */
void lease_book_init(struct lease_book *b, const struct config_leases *config, const char *me);
void lease_book_fini(struct lease_book *b);

/* The lease of that name, or NULL. */
struct lease_entry *lease_book_find(const struct lease_book *b, const char *name);
/* Before the workers of a turn say what they need. */
void lease_book_begin(struct lease_book *b);
/* A worker names it: it is wanted when any offers to run, has a tree when any has one, and is kept without a
 * database when all say so; a spread one only where it is the replica's share. Out of memory it ends podvisor. */
void lease_book_name(struct lease_book *b, const struct lease_need *need, ms_t now);
/* "indexer", or "indexer/3" of one that is spread; into out, of LEASE_NAME_MAX. */
const char *lease_book_name_of(const char *name, int index, int shares, char *out);
/* Asks for what is due. leaving: this replica is to be given nothing any more. */
void lease_book_plan(struct lease_book *b, bool leaving, struct turn *t);
void lease_book_apply(struct lease_book *b, const struct event *e, struct turn *t);
/* Nothing is held, and no release is waited for; one that is not answered is not waited for long. */
bool lease_book_is_closed(const struct lease_book *b, ms_t now);
/* Why it is not held here: "lease indexer is held by pod-b". */
void lease_book_describe(const struct lease_entry *e, char *out, size_t size);
/* The token as workers get it, one number that only grows: timeline * 2^40 + counter; of an object its counter, which
 * is what its leaseTransitions says. */
int64_t lease_book_token(const struct lease_book *b, int64_t timeline, int64_t counter);

#endif
