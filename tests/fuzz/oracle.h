/* oracle owns a second opinion about HTTP/1 requests: Debian's llhttp, Node's
 * parser, in its strict mode. It is built for the fuzzers alone; nothing of it
 * is ours. */
#ifndef PODVISOR_TESTS_FUZZ_ORACLE_H
#define PODVISOR_TESTS_FUZZ_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/span.h"

#define ORACLE_FIELDS_MAX 256
#define ORACLE_BODY_MAX   (1 << 20)

struct oracle_field {
	struct span name, value; /* of the bytes that were read */
};

struct oracle_request {
	bool head, whole; /* the head, and the message with its body, are complete and accepted */
	const char *why; /* the reason of a refusal, or NULL */
	struct span method, target;
	int minor;
	bool chunked, has_length;
	uint64_t length;
	size_t head_bytes, bytes; /* up to the end of the head, and of the message */
	struct oracle_field fields[ORACLE_FIELDS_MAX];
	size_t n_fields;
	struct buf body; /* init and fini are the oracle's; valid until the next question */
};

/* Whether it knows the method at all: it has a list of them, we have not. */
bool oracle_knows_method(struct span method);
/* Reads one request from the front of the bytes. */
const struct oracle_request *oracle_ask(struct span bytes);

#endif
