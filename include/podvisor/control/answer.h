/* answer owns an answer in the making: its status, its type and its body. */
#ifndef PODVISOR_CONTROL_ANSWER_H
#define PODVISOR_CONTROL_ANSWER_H

#include <jansson.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"

struct answer {
	int status; /* 0: not answered (yet) */
	const char *type; /* static */
	char headers[512]; /* further lines, each with CRLF */
	struct buf *body; /* borrowed, empty at first */
};

void answer_init(struct answer *a, struct buf *body);
/* One line of plain text; the newline is added. */
void answer_text(struct answer *a, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Takes the JSON over (NULL: out of memory, a 500). */
void answer_json(struct answer *a, int status, json_t *json);
/* A JSON string of any bytes: a character cut in half at the end is left out;
 * other text that is no UTF-8 keeps its ASCII. */
json_t *answer_string(const char *text);
/* {"error": "the sentence"} */
void answer_error(struct answer *a, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
