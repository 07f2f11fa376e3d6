#include "podvisor/base/pattern.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OPS_MAX = 1000, /* a byte of text costs so many steps at the most */
	DEPTH_MAX = 50,
};

enum op_kind { OP_BYTE, OP_ANY, OP_SET, OP_FORK, OP_JUMP, OP_BEGIN, OP_END, OP_MATCH };

/* A program for a machine that follows all its threads at once (Thompson, 1968).
 * Jumps are relative, so that a piece of it can be copied and moved. */
struct op {
	uint8_t kind;
	uint8_t byte; /* BYTE */
	int16_t to, other; /* FORK: both; JUMP: to; SET: to is its index */
};

struct set {
	uint8_t bits[32];
};

/* The threads at one place of the text: each operation at most once. */
struct threads {
	uint16_t *ops;
	size_t n;
};

struct pattern {
	struct op *ops;
	size_t n;
	struct set *sets; /* as many as the text has characters */
	size_t n_sets;
	bool restarts; /* may match elsewhere than at the beginning */
	struct threads now, next;
	uint16_t *stack;
	uint32_t *marks; /* by operation: the place where it was last entered */
	uint32_t place;
};

struct compiler {
	const char *text, *at;
	struct pattern *p;
	int depth;
	struct err *err;
	int rc;
};

/* ---- sets ---- */

static void set_add(struct set *set, unsigned from, unsigned to)
{
	for (unsigned c = from; c <= to; c++)
		set->bits[c / 8] |= (uint8_t)(1U << c % 8);
}

static void set_invert(struct set *set)
{
	for (size_t i = 0; i < sizeof(set->bits); i++)
		set->bits[i] = (uint8_t)~set->bits[i];
}

static bool set_has(const struct set *set, unsigned char c)
{
	return set->bits[c / 8] >> c % 8 & 1;
}

/* Ranges of a class in the C locale, as pairs of bytes. */
static const struct {
	const char *name, *ranges;
} classes[] = {{"alpha", "AZaz"}, {"digit", "09"}, {"alnum", "09AZaz"}, {"upper", "AZ"}, {"lower", "az"},
	{"space", "\t\r  "}, {"blank", "\t\t  "}, {"punct", "!/:@[`{~"}, {"print", " ~"}, {"graph", "!~"},
	{"cntrl", "\1\37\177\177"}, {"xdigit", "09AFaf"}};

static void add_ranges(struct set *set, const char *ranges)
{
	for (; *ranges; ranges += 2)
		set_add(set, (unsigned char)ranges[0], (unsigned char)ranges[1]);
}

static bool add_class(struct set *set, const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (strlen(classes[i].name) != n || memcmp(classes[i].name, name, n) != 0)
			continue;
		add_ranges(set, classes[i].ranges);
		if (classes[i].name[0] == 'c')
			set_add(set, 0, 0);
		return true;
	}
	return false;
}

/* \d \w \s and their opposites. */
static bool add_shorthand(struct set *set, char c)
{
	struct set one = {0};
	switch (c | 32) {
	case 'd':
		add_ranges(&one, "09");
		break;
	case 'w':
		add_ranges(&one, "09AZaz__");
		break;
	case 's':
		add_ranges(&one, "\t\r  ");
		break;
	default:
		return false;
	}
	if (!(c & 32))
		set_invert(&one);
	for (size_t i = 0; i < sizeof(one.bits); i++)
		set->bits[i] |= one.bits[i];
	return true;
}

/* ---- compiling: errors and operations ---- */

/* at: the character at fault. The first one counts. */
PRINTF_LIKE(3, 4)
static void refuse(struct compiler *c, const char *at, const char *fmt, ...)
{
	char text[160];
	va_list args;
	if (c->rc)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	c->rc = err_set(c->err, -EINVAL, "%s (character %zu)", text, (size_t)(at - c->text) + 1);
}

static bool is_failed(struct compiler *c, size_t more)
{
	if (!c->rc && c->p->n + more > OPS_MAX)
		c->rc = err_set(c->err, -E2BIG, "it is too large with its repetitions written out");
	return c->rc != 0;
}

static void append(struct compiler *c, struct op op)
{
	if (!is_failed(c, 1))
		c->p->ops[c->p->n++] = op;
}

static void insert(struct compiler *c, size_t where, struct op op)
{
	if (is_failed(c, 1))
		return;
	struct op *at = c->p->ops + where;
	memmove(at + 1, at, (c->p->n - where) * sizeof(*at));
	*at = op;
	c->p->n++;
}

static void append_set(struct compiler *c, const struct set *set)
{
	if (is_failed(c, 1))
		return;
	c->p->sets[c->p->n_sets] = *set;
	append(c, (struct op){.kind = OP_SET, .to = (int16_t)c->p->n_sets++});
}

/* ---- compiling: brackets ---- */

/* One end of a range; the class or shorthand that stands in its place goes into set, and -1 comes back. */
static int bracket_item(struct compiler *c, struct set *set)
{
	const char *at = c->at;
	if (at[0] == '[' && (at[1] == ':' || at[1] == '.' || at[1] == '=')) {
		const char *end = at[1] == ':' ? strstr(at + 2, ":]") : NULL;
		c->at = end ? end + 2 : at + 1;
		if (at[1] != ':')
			refuse(c, at, "[%c is not available", at[1]);
		else if (!end || !add_class(set, at + 2, (size_t)(end - at) - 2))
			refuse(c, at, "there is no such class of characters");
		return -1;
	}
	bool escape = at[0] == '\\' && at[1];
	at += escape;
	c->at = at + 1;
	if ((unsigned char)*at >= 0x80)
		refuse(c, at, "only ASCII can stand in brackets");
	if (escape && add_shorthand(set, *at))
		return -1;
	return escape && *at == 't' ? '\t' : (unsigned char)*at;
}

static void bracket_range(struct compiler *c, struct set *set)
{
	const char *start = c->at;
	int from = bracket_item(c, set), to = from;
	if (c->at[0] == '-' && c->at[1] && c->at[1] != ']') {
		c->at++;
		to = bracket_item(c, set);
		if (from < 0 || to < 0 || from > to)
			refuse(c, start, "this is no range");
	}
	if (from >= 0 && to >= from)
		set_add(set, (unsigned)from, (unsigned)to);
}

/* Behind the opening bracket. A closing one that comes first is an ordinary character. */
static void bracket(struct compiler *c)
{
	const char *open = c->at - 1;
	struct set set = {0};
	bool opposite = *c->at == '^';
	c->at += opposite;
	const char *first = c->at;
	while (!c->rc && *c->at && (*c->at != ']' || c->at == first))
		bracket_range(c, &set);
	if (*c->at != ']')
		refuse(c, open, "\"[\" is never closed");
	c->at += *c->at == ']';
	if (opposite)
		set_invert(&set);
	append_set(c, &set);
}

/* ---- compiling: atoms ---- */

static void alternatives(struct compiler *c);

static void group(struct compiler *c)
{
	const char *open = c->at - 1;
	if (++c->depth > DEPTH_MAX)
		refuse(c, open, "more than %d parentheses are open", DEPTH_MAX);
	else
		alternatives(c);
	c->depth--;
	if (*c->at != ')')
		refuse(c, open, "\"(\" is never closed");
	c->at += *c->at == ')';
}

static void escaped(struct compiler *c)
{
	struct set set = {0};
	char byte = *c->at;
	if (!byte) {
		refuse(c, c->at - 1, "nothing follows the backslash");
		return;
	}
	c->at++;
	if (add_shorthand(&set, byte))
		append_set(c, &set);
	else if (byte >= '0' && byte <= '9')
		refuse(c, c->at - 2, "back-references are not available");
	else if (((byte | 32) >= 'a' && (byte | 32) <= 'z' && byte != 't') || byte & 0x80)
		refuse(c, c->at - 2,
			"this escape is not known (expected \\d, \\w, \\s, \\D, \\W, \\S, \\t or punctuation)");
	else
		append(c, (struct op){.kind = OP_BYTE, .byte = (uint8_t)(byte == 't' ? '\t' : byte)});
}

/* What a repetition behind it repeats: all bytes of a character beyond ASCII. */
static void literal(struct compiler *c)
{
	append(c, (struct op){.kind = OP_BYTE, .byte = (uint8_t)c->at[-1]});
	for (; (c->at[-1] & 0x80) && (*c->at & 0xc0) == 0x80; c->at++)
		append(c, (struct op){.kind = OP_BYTE, .byte = (uint8_t)*c->at});
}

static void atom(struct compiler *c)
{
	switch (*c->at++) {
	case '(':
		group(c);
		break;
	case '[':
		bracket(c);
		break;
	case '\\':
		escaped(c);
		break;
	case '.':
		append(c, (struct op){.kind = OP_ANY});
		break;
	case '^':
		append(c, (struct op){.kind = OP_BEGIN});
		break;
	case '$':
		append(c, (struct op){.kind = OP_END});
		break;
	case '*':
	case '+':
	case '?':
	case '{':
		refuse(c, c->at - 1, "there is nothing that \"%c\" could repeat", c->at[-1]);
		break;
	default:
		literal(c);
	}
}

/* ---- compiling: repetitions ---- */

static void make_optional(struct compiler *c, size_t start)
{
	insert(c, start, (struct op){.kind = OP_FORK, .to = 1, .other = (int16_t)(c->p->n - start + 1)});
}

static void make_repeated(struct compiler *c, size_t start)
{
	append(c, (struct op){.kind = OP_FORK, .to = (int16_t) - (int)(c->p->n - start), .other = 1});
}

/* Digits; -1 when there is none. */
static int bound(struct compiler *c)
{
	const char *start = c->at;
	int value = 0;
	for (; *c->at >= '0' && *c->at <= '9'; c->at++)
		value = value > PATTERN_REPEAT_MAX ? value : value * 10 + (*c->at - '0');
	return c->at > start ? value : -1;
}

/* "{3}", "{3,}" or "{3,5}" behind its brace; max -1: no limit. */
static void bounds(struct compiler *c, int *min, int *max)
{
	const char *brace = c->at - 1;
	*min = *max = bound(c);
	if (*c->at == ',') {
		c->at++;
		*max = bound(c);
	}
	if (*min < 0 || *c->at != '}')
		refuse(c, brace, "expected {N}, {N,} or {N,M}; a brace itself is written \\{");
	else if (*min > PATTERN_REPEAT_MAX || *max > PATTERN_REPEAT_MAX || (*max >= 0 && *max < *min))
		refuse(c, brace, "expected 0 <= N <= M <= %d in {N,M}", PATTERN_REPEAT_MAX);
	c->at += *c->at == '}';
}

static void append_copy(struct compiler *c, const struct op *ops, size_t n)
{
	if (is_failed(c, n))
		return;
	memcpy(c->p->ops + c->p->n, ops, n * sizeof(*ops));
	c->p->n += n;
}

/* Written out: x{2,4} is xxx?x?, x{2,} is xx+. */
static void repeat_counted(struct compiler *c, size_t start, int min, int max)
{
	struct op ops[OPS_MAX];
	size_t n = c->p->n - start;
	memcpy(ops, c->p->ops + start, n * sizeof(*ops));
	c->p->n = start;
	for (int i = 0; i < min || i < max || (max < 0 && i == 0); i++) {
		start = c->p->n;
		append_copy(c, ops, n);
		if (max < 0 && i + 1 >= min)
			make_repeated(c, start);
		if (i >= min)
			make_optional(c, start);
	}
}

static void repetition(struct compiler *c, size_t start)
{
	int min = 0, max = 0;
	switch (*c->at++) {
	case '*':
		make_repeated(c, start);
		make_optional(c, start);
		break;
	case '+':
		make_repeated(c, start);
		break;
	case '?':
		make_optional(c, start);
		break;
	default:
		bounds(c, &min, &max);
		if (!c->rc)
			repeat_counted(c, start, min, max);
	}
}

static bool is_repetition(char byte)
{
	return byte == '*' || byte == '+' || byte == '?' || byte == '{';
}

static void sequence(struct compiler *c)
{
	if (!*c->at || *c->at == '|' || *c->at == ')')
		refuse(c, c->at, "an alternative is empty");
	while (!c->rc && *c->at && *c->at != '|' && *c->at != ')') {
		size_t start = c->p->n;
		atom(c);
		while (!c->rc && is_repetition(*c->at))
			repetition(c, start);
	}
}

static void alternatives(struct compiler *c)
{
	size_t start = c->p->n;
	sequence(c);
	while (!c->rc && *c->at == '|') {
		c->at++;
		insert(c, start, (struct op){.kind = OP_FORK, .to = 1, .other = (int16_t)(c->p->n - start + 2)});
		size_t jump = c->p->n;
		append(c, (struct op){.kind = OP_JUMP});
		sequence(c);
		if (!c->rc)
			c->p->ops[jump].to = (int16_t)(c->p->n - jump);
	}
}

/* ---- matching ---- */

static void push(struct pattern *p, size_t *depth, size_t op)
{
	if (p->marks[op] == p->place)
		return;
	p->marks[op] = p->place;
	p->stack[(*depth)++] = (uint16_t)op;
}

/* Begins a thread at op, and follows it to where it needs a byte. Whether it has arrived at the end. */
static bool enter(struct pattern *p, struct threads *t, size_t op, bool begins, bool ends)
{
	size_t depth = 0;
	bool arrived = false;
	push(p, &depth, op);
	while (depth) {
		size_t at = p->stack[--depth];
		const struct op *o = &p->ops[at];
		if (o->kind == OP_MATCH)
			arrived = true;
		else if (o->kind == OP_FORK || o->kind == OP_JUMP)
			push(p, &depth, at + (size_t)o->to);
		else if (o->kind == OP_BEGIN ? begins : o->kind == OP_END && ends)
			push(p, &depth, at + 1);
		else if (o->kind <= OP_SET)
			t->ops[t->n++] = (uint16_t)at;
		if (o->kind == OP_FORK)
			push(p, &depth, at + (size_t)o->other);
	}
	return arrived;
}

static bool takes(const struct pattern *p, const struct op *o, unsigned char c)
{
	return o->kind == OP_ANY || (o->kind == OP_BYTE ? o->byte == c : set_has(&p->sets[o->to], c));
}

/* Marks of earlier places, and of earlier texts, are no marks of this one. */
static void next_place(struct pattern *p)
{
	if (++p->place == 0) {
		memset(p->marks, 0, p->n * sizeof(*p->marks));
		p->place = 1;
	}
	p->next.n = 0;
}

static void turn(struct pattern *p)
{
	struct threads spare = p->now;
	p->now = p->next;
	p->next = spare;
}

bool pattern_matches(struct pattern *p, struct span text)
{
	next_place(p);
	bool arrived = enter(p, &p->next, 0, true, text.len == 0);
	turn(p);
	for (size_t i = 0; !arrived && i < text.len && (p->now.n || p->restarts); i++) {
		next_place(p);
		for (size_t k = 0; !arrived && k < p->now.n; k++)
			if (takes(p, &p->ops[p->now.ops[k]], (unsigned char)text.at[i]))
				arrived = enter(p, &p->next, p->now.ops[k] + 1U, false, i + 1 == text.len);
		if (p->restarts)
			arrived |= enter(p, &p->next, 0, false, i + 1 == text.len);
		turn(p);
	}
	return arrived;
}

/* ---- birth and end ---- */

static void compile(struct compiler *c)
{
	alternatives(c);
	if (*c->at == ')')
		refuse(c, c->at, "\")\" closes nothing; itself it is written \\)");
	append(c, (struct op){.kind = OP_MATCH});
}

static int prepare(struct pattern *p, struct err *err)
{
	size_t n = p->n + 1;
	p->now.ops = calloc(n, sizeof(*p->now.ops));
	p->next.ops = calloc(n, sizeof(*p->next.ops));
	p->stack = calloc(n, sizeof(*p->stack));
	p->marks = calloc(n, sizeof(*p->marks));
	if (!p->now.ops || !p->next.ops || !p->stack || !p->marks)
		return err_set(err, -ENOMEM, "out of memory");
	next_place(p);
	p->restarts = enter(p, &p->next, 0, false, true) || p->next.n;
	return 0;
}

/* The compiler had room for the largest one. */
static int shrink(struct pattern *p, struct err *err)
{
	struct op *ops = calloc(p->n + 1, sizeof(*ops));
	if (!ops)
		return err_set(err, -ENOMEM, "out of memory");
	memcpy(ops, p->ops, p->n * sizeof(*ops));
	free(p->ops);
	p->ops = ops;
	return 0;
}

int pattern_new(struct pattern **out, const char *text, struct err *err)
{
	struct pattern *p = calloc(1, sizeof(*p));
	struct compiler c = {.text = text, .at = text, .p = p, .err = err};
	if (p) {
		p->ops = calloc(OPS_MAX, sizeof(*p->ops));
		p->sets = calloc(strlen(text) + 1, sizeof(*p->sets));
	}
	if (!p || !p->ops || !p->sets) {
		pattern_free(p);
		return err_set(err, -ENOMEM, "out of memory");
	}
	compile(&c);
	c.rc = c.rc ? c.rc : shrink(p, err);
	c.rc = c.rc ? c.rc : prepare(p, err);
	if (c.rc) {
		pattern_free(p);
		return c.rc;
	}
	*out = p;
	return 0;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	free(p->ops);
	free(p->sets);
	free(p->now.ops);
	free(p->next.ops);
	free(p->stack);
	free(p->marks);
	free(p);
}
