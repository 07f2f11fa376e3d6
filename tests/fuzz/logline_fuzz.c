/* Whatever a worker prints, the log gets one line that is one JSON object. */
#include "fuzz.h"

#include <string.h>

#include <jansson.h>

#include "podvisor/wire/logline.h"

#define WALL 1700000000123

static const struct logline meta = {.level = "info", .name = "api", .field = "worker", .stream = "stdout"};

static void check_line(const struct buf *out)
{
	PROMISE(out->len > 0 && out->data[out->len - 1] == '\n');
	PROMISE(!memchr(out->data, '\n', out->len - 1));
}

/* Grammatical, yet refused by jansson: 1e999, and half a surrogate pair. */
static bool beyond_jansson(struct span text)
{
	return memmem(text.at, text.len, "\\u", 2) || memchr(text.at, 'e', text.len) || memchr(text.at, 'E', text.len);
}

static void check_json(const struct buf *out, bool as_json)
{
	json_t *read = json_loadb(out->data, out->len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	PROMISE(json_is_object(read));
	PROMISE(as_json || json_is_string(json_object_get(read, "ts")));
	json_decref(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (memchr(data, '\n', size))
		return 0;
	struct span text = {(const char *)data, size};
	struct logline_head head;
	PROMISE(logline_head_init(&head, &meta) == 0);
	for (int as_json = 0; as_json < 2; as_json++) {
		struct buf out;
		buf_init(&out, 1 << 20);
		PROMISE(logline_put_json(&out, &head, WALL, text, as_json) == 0);
		check_line(&out);
		if (!as_json || !beyond_jansson(text))
			check_json(&out, as_json);
		buf_clear(&out);
		PROMISE(logline_put_text(&out, &head, WALL, text) == 0);
		check_line(&out);
		buf_fini(&out);
	}
	logline_head_fini(&head);
	return 0;
}
