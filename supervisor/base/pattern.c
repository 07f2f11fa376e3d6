#include "podvisor/base/pattern.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* What one match may cost. The usual patterns take some hundred steps for a
 * long line; those that need more would need more without end. */
#define STEPS_MAX    20000
#define HEAP_MAX_KIB 256
#define TEXT_MAX     4096 /* of a pattern */

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

/* Lines are what workers write: bytes that claim to be UTF-8. */
static const uint32_t options = PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY |
				PCRE2_DOTALL | PCRE2_NO_AUTO_CAPTURE;

static int refuse(struct err *err, int error, PCRE2_SIZE at)
{
	PCRE2_UCHAR text[160];
	pcre2_get_error_message(error, text, sizeof(text));
	return err_set(err, -EINVAL, "%s (character %zu)", (const char *)text, (size_t)at + 1);
}

static int compile(struct pattern *p, const char *text, struct err *err)
{
	int error = 0;
	PCRE2_SIZE at = 0;
	if (!text[0])
		return err_set(err, -EINVAL, "it is empty");
	if (strlen(text) > TEXT_MAX)
		return err_set(err, -E2BIG, "it is longer than %d bytes", TEXT_MAX);
	p->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, options, &error, &at, NULL);
	return p->code ? 0 : refuse(err, error, at);
}

static int prepare(struct pattern *p, struct err *err)
{
	p->data = pcre2_match_data_create(1, NULL);
	p->limits = pcre2_match_context_create(NULL);
	if (!p->data || !p->limits)
		return err_set(err, -ENOMEM, "out of memory");
	pcre2_set_match_limit(p->limits, STEPS_MAX);
	pcre2_set_depth_limit(p->limits, STEPS_MAX);
	pcre2_set_heap_limit(p->limits, HEAP_MAX_KIB);
	return 0;
}

int pattern_new(struct pattern **out, const char *text, struct err *err)
{
	struct pattern *p = calloc(1, sizeof(*p));
	if (!p)
		return err_set(err, -ENOMEM, "out of memory");
	int rc = compile(p, text, err);
	rc = rc ? rc : prepare(p, err);
	if (rc < 0)
		pattern_free(p);
	else
		*out = p;
	return rc;
}

bool pattern_matches(struct pattern *p, struct span text)
{
	PCRE2_SPTR at = (PCRE2_SPTR)(text.len ? text.at : "");
	return pcre2_match(p->code, at, text.len, 0, 0, p->data, p->limits) >= 0;
}

void pattern_free(struct pattern *p)
{
	if (!p)
		return;
	pcre2_match_context_free(p->limits);
	pcre2_match_data_free(p->data);
	pcre2_code_free(p->code);
	free(p);
}
