/* remove_tree owns the removal of whole directories, in libuv's thread pool: one
 * at a time for each remover, never following a link and never leaving the file
 * system it began on. */
#ifndef PODVISOR_IO_REMOVE_TREE_H
#define PODVISOR_IO_REMOVE_TREE_H

#include <stdint.h>

#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

/* Levels below the first directory; what lies deeper makes the removal fail. */
#define REMOVE_TREE_DEPTH 128

/* Removes path and all below it, now: for a thread of the pool. A file that
 * somebody else removes meanwhile is no failure, nor is a path that does not
 * exist. Goes on past what cannot be removed; then the first failure is
 * returned, with its name in the sentence. */
int remove_tree_now(const char *path, struct err *err) MUST_CHECK;

struct remover;

int remover_new(struct remover **out, struct loop *loop, struct err *err) MUST_CHECK;
/* Lets the one under way end and forgets those that wait; no done is called any more. NULL is fine. */
void remover_free(struct remover *r);
/* Removes `from`, when `trash` is not NULL after it was renamed to that: the name is
 * then free at once, even when a removal takes long. A failed removal is tried
 * again after 0.2, 0.4 and 0.8 s. done comes from the loop, once: code 0, or the last failure.
 * -ENOMEM. */
int remover_start(struct remover *r, const char *from, const char *trash,
	void (*done)(void *ctx, const struct err *failure), void *ctx) MUST_CHECK;

#endif
