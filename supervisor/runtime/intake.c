#include "podvisor/runtime/intake.h"

enum {
	READ_LEAST = 512,
	LINE_BYTES = 16, /* what is thought of a reader of which nothing is known */
};

static const struct intake_share of_one = {INTAKE_ONE_BYTES, INTAKE_ONE_LINES};
static const struct intake_share of_all = {INTAKE_ALL_BYTES, INTAKE_ALL_LINES};

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

static bool is_used_up(const struct intake_share *s)
{
	return !s->bytes || !s->lines;
}

static void use(struct intake_share *s, size_t bytes, size_t lines)
{
	s->bytes -= least(s->bytes, bytes);
	s->lines -= least(s->lines, lines);
}

/* ---- turns ---- */

static bool is_over(const struct intake *in)
{
	return is_used_up(&in->left) || (in->until_ns && uv_hrtime() >= in->until_ns);
}

static bool got_nothing(const struct intake *in, const struct intake_reader *r)
{
	return r->turn != in->turn || r->left.bytes == of_one.bytes;
}

/* False: it could not be served, and keeps its place. */
static bool serve_first(struct intake *in)
{
	struct intake_reader *r = LIST_ENTRY(in->waiting.next, struct intake_reader, node);
	in->serving = r;
	bool all = in->serve(r);
	in->serving = NULL;
	if (!all && got_nothing(in, r))
		return false;
	list_remove(&r->node);
	if (!all)
		list_append(&in->waiting, &r->node);
	return true;
}

static bool had_its_share(const struct intake *in)
{
	return LIST_ENTRY(in->waiting.next, struct intake_reader, node)->turn == in->turn;
}

/* What waits is served before poll tells of all others. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct intake *in = prepare->data;
	in->turn++;
	in->until_ns = 0;
	in->left = of_all;
	while (!list_empty(&in->waiting) && !had_its_share(in) && !is_over(in) && serve_first(in))
		;
}

void intake_open(struct intake *in, struct loop *l, bool (*serve)(struct intake_reader *r))
{
	*in = (struct intake){.left = of_all, .turn = 1, .serve = serve};
	list_init(&in->waiting);
	uv_prepare_init(&l->uv, &in->prepare);
	in->prepare.data = in;
	uv_prepare_start(&in->prepare, on_prepare);
	uv_unref((uv_handle_t *)&in->prepare);
}

void intake_close(struct intake *in, uv_close_cb closed)
{
	uv_close((uv_handle_t *)&in->prepare, closed);
}

/* ---- readers ---- */

void intake_join(struct intake_reader *r)
{
	*r = (struct intake_reader){.line_bytes = LINE_BYTES};
	list_init(&r->node);
}

void intake_leave(struct intake_reader *r)
{
	list_remove(&r->node);
}

static bool waits(const struct intake *in, const struct intake_reader *r)
{
	return !list_empty(&r->node) && r != in->serving;
}

static void begin_turn(struct intake *in, struct intake_reader *r)
{
	if (r->turn != in->turn)
		r->left = of_one;
	r->turn = in->turn;
	if (!in->until_ns)
		in->until_ns = uv_hrtime() + INTAKE_ALL_NS;
}

size_t intake_grant(struct intake *in, struct intake_reader *r)
{
	if (waits(in, r))
		return 0;
	begin_turn(in, r);
	if (is_used_up(&r->left) || is_over(in)) {
		if (list_empty(&r->node))
			list_append(&in->waiting, &r->node);
		return 0;
	}
	size_t lines = least(in->left.lines, r->left.lines), bytes = least(in->left.bytes, r->left.bytes);
	size_t size = lines * r->line_bytes;
	return least(size < READ_LEAST ? READ_LEAST : size, least(bytes, INTAKE_READ_MAX));
}

void intake_took(struct intake *in, struct intake_reader *r, size_t bytes, size_t lines)
{
	r->line_bytes = lines ? (bytes + lines - 1) / lines : INTAKE_READ_MAX;
	use(&r->left, bytes, lines);
	use(&in->left, bytes, lines);
}
