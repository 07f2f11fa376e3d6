/* cdp_scan owns a shallow look at one DevTools message that streams by: which
 * command it is, for whom, and a few of its words. It reads what Chrome's own
 * parser reads (RFC 8259, and comments) from any cut of the bytes, keeps a few
 * hundred bytes whatever the length, and refuses nothing: text that is no JSON
 * gives no command, to Chrome neither. */
#ifndef PODVISOR_WIRE_CDP_SCAN_H
#define PODVISOR_WIRE_CDP_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/span.h"

#define CDP_WORD_BYTES 80 /* a longer word is no word that anybody asks for: it is seen as "" */
#define CDP_LEVELS     4 /* of messages in messages (Target.sendMessageToTarget) */

/* The words that are kept: of the message itself, then of its params or its result. */
enum cdp_word {
	CDP_ID, /* as it stands there: a number */
	CDP_METHOD,
	CDP_SESSION,
	CDP_TARGET,
	CDP_CONTEXT,
	CDP_URL,
	CDP_WORDS
};

/* What makes a command worth more than a look. */
enum cdp_kind {
	CDP_OTHER,
	CDP_CLOSE, /* ends Chrome, in order */
	CDP_DEADLY, /* ends it otherwise, or opens a way to do so unseen */
	CDP_CREATE_TARGET,
	CDP_CREATE_CONTEXT,
	CDP_CLOSE_TARGET,
	CDP_DISPOSE_CONTEXT,
	CDP_NAVIGATE,
	CDP_SEND /* carries a message in a string */
};

struct cdp_level {
	uint32_t depth;
	uint8_t state; /* of the tokenizer */
	uint8_t key, top_key; /* whose value comes; that of the outermost object, when we are in the value */
	uint8_t objects; /* bit 1, bit 2: what is open at that depth is an object */
	uint8_t hex_left;
	uint16_t hex; /* of \uXXXX */
	bool wants_key, is_key; /* the next string, this string is one */
	bool keeps, inner, overflow; /* this string is a word; is a message */
	uint8_t len;
	char text[CDP_WORD_BYTES];
};

/* Read its fields; the calls write them. */
struct cdp_scan {
	char words[CDP_WORDS][CDP_WORD_BYTES]; /* of the outermost message; the last when there are several */
	unsigned seen; /* bits of enum cdp_kind: of every method that stands there */
	bool deadly_url; /* an address that ends Chrome */
	bool error; /* it is the answer to a command that failed */
	bool deadly_inside; /* what is carried in a string, or more levels than are looked at */
	struct cdp_level levels[CDP_LEVELS];
};

void cdp_scan_init(struct cdp_scan *s);
void cdp_scan_take(struct cdp_scan *s, struct span text);
/* Once all of it was taken. A message can be several of them when names stand there twice; the worst counts. */
enum cdp_kind cdp_scan_kind(const struct cdp_scan *s);
/* Whether it is one of those that end Chrome; can be asked for at any time, and stays true. */
bool cdp_scan_is_deadly(const struct cdp_scan *s);
/* Whether an address, as it stands in a URL bar, makes Chrome end or hang. */
bool cdp_is_deadly_url(struct span url);

#endif
