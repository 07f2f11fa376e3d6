/* intake owns how much of the workers' output is taken in one turn of the loop,
 * and whose turn it is, so that no flood of it keeps probes, timers and other
 * workers waiting. A line costs more than its bytes do: tiny ones are what makes
 * a turn long, so both are counted, and the time too, for whatever else is slow. */
#ifndef PODVISOR_RUNTIME_INTAKE_H
#define PODVISOR_RUNTIME_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/list.h"
#include "podvisor/io/loop.h"

/* So much may come beyond a share, once: tiny lines of a reader that had longer ones. */
#define INTAKE_READ_MAX (32 << 10)
/* The shares of one reader, and of all of them together, in a turn. */
#define INTAKE_ONE_BYTES (128 << 10)
#define INTAKE_ONE_LINES 1024
#define INTAKE_ALL_BYTES (256 << 10)
#define INTAKE_ALL_LINES 4096
#define INTAKE_ALL_NS    1000000

struct intake_share {
	size_t bytes, lines;
};

/* The reader of one stream. */
struct intake_reader {
	struct list node; /* in intake.waiting */
	uint64_t turn; /* whose share left is */
	struct intake_share left;
	size_t line_bytes; /* on average, of what it took last */
};

struct intake {
	uv_prepare_t prepare;
	struct list waiting; /* readers that may have more, in the order in which they are served in the next turn */
	struct intake_reader *serving; /* the first of them, while it is served */
	uint64_t turn, until_ns; /* until_ns 0: nobody has read in this turn */
	struct intake_share left;
	bool (*serve)(struct intake_reader *r);
};

/* serve is to take what intake_grant allows, and returns whether that was all that there is; it may be told of a reader
 * that has nothing to read. */
void intake_open(struct intake *in, struct loop *l, bool (*serve)(struct intake_reader *r));
/* closed: intake may go. */
void intake_close(struct intake *in, uv_close_cb closed);

/* Before the first grant, and when there will be none any more. */
void intake_join(struct intake_reader *r);
void intake_leave(struct intake_reader *r);

/* How many bytes may be read now, at most INTAKE_READ_MAX. 0: no more in this turn; it is served in the next, or in its
 * order. Whoever has more to read has to keep the loop awake, as a descriptor does that stays readable. */
size_t intake_grant(struct intake *in, struct intake_reader *r);
/* So much was read. */
void intake_took(struct intake *in, struct intake_reader *r, size_t bytes, size_t lines);

#endif
