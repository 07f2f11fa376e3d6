/* matrix owns the frame of the tests that hold every state of a machine against
 * everything that can happen to it: the table's cells, what surrounds a machine,
 * and the judgement of one cell. */
#ifndef TESTS_UNIT_MODEL_MATRIX_H
#define TESTS_UNIT_MODEL_MATRIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "podvisor/model/turn.h"

/* What a machine gets as its surroundings. */
struct around {
	struct random random;
	struct journal journal;
	struct plan plan;
	struct turn turn;
	uint64_t next_run;
};

struct cell {
	bool set; /* else: it stays, and nothing is planned */
	int next; /* state */
	enum effect_kind effect; /* the first that is planned */
};

#define NOTHING EFFECT_KIND_COUNT
#define LEADS(state, effect)        \
	{                           \
		true, state, effect \
	}

static inline void around_set(struct around *a)
{
	*a = (struct around){.next_run = 1, .random = {.state = 1}};
	plan_init(&a->plan);
	a->turn = (struct turn){.now = 1000, .random = &a->random, .journal = &a->journal, .plan = &a->plan};
}

static inline const char *around_effect(const struct around *a)
{
	return a->plan.count ? effect_name(a->plan.effects[0].kind) : "nothing";
}

/* Whether what came of it is what the cell says; what it was is printed when not. from and what say where the cell
 * stands; name_of names states. */
static inline bool cell_is_right(const struct cell *cell, const struct around *a, int from, int is,
	const char *(*name_of)(int state), const char *row, const char *what)
{
	int next = cell->set ? cell->next : from;
	const char *effect = cell->set && cell->effect != NOTHING ? effect_name(cell->effect) : "nothing";
	bool right = is == next && strcmp(around_effect(a), effect) == 0;
	if (!right)
		print_error("%s x %s: %s, %s; expected %s, %s\n", row, what, name_of(is), around_effect(a),
			name_of(next), effect);
	return right;
}

static inline void assert_table(int rows, int whats, bool (*is_right)(int row, int what))
{
	int wrong = 0;
	for (int row = 0; row < rows; row++)
		for (int what = 0; what < whats; what++)
			wrong += !is_right(row, what);
	assert_int_equal(wrong, 0);
}

#endif
