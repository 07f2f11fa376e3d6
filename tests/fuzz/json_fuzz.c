/* Any bytes become a JSON string that reads back, and text is taken for an
 * object exactly when jansson takes it for one (but for what is grammatical and
 * yet refused there: numbers beyond a double, half a surrogate pair, "\u0000" in
 * a key). */
#include "fuzz.h"

#include <string.h>

#include <jansson.h>

#include "podvisor/base/json.h"

static void check_string(const char *bytes, size_t n)
{
	struct buf b;
	buf_init(&b, 6 * n + 2);
	PROMISE(json_put_string(&b, bytes, n) == 0);
	json_t *read = json_loadb(b.data, b.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	PROMISE(json_is_string(read));
	PROMISE(json_string_length(read) >= n);
	if (json_string_length(read) == n)
		PROMISE(memcmp(json_string_value(read), bytes, n) == 0);
	json_decref(read);
	buf_fini(&b);
}

struct keys {
	const char *from, *end;
	size_t seen;
};

static void note(void *ctx, struct span key)
{
	struct keys *keys = ctx;
	PROMISE(key.at >= keys->from && key.at + key.len < keys->end);
	keys->seen++;
}

static bool beyond_jansson(struct span text)
{
	return memmem(text.at, text.len, "\\u", 2) || memchr(text.at, 'e', text.len) || memchr(text.at, 'E', text.len);
}

/* Deeper than we look; jansson's own limit is 2048. */
static bool is_deep(struct span text)
{
	size_t opened = 0;
	for (size_t i = 0; i < text.len; i++)
		opened += text.at[i] == '{' || text.at[i] == '[';
	return opened > 64;
}

static void check_object(struct span text)
{
	struct keys keys = {.from = text.at, .end = text.at + text.len};
	bool ours = json_check_object(text, note, &keys);
	json_t *read = json_loadb(text.at, text.len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
	bool theirs = json_is_object(read);
	PROMISE(ours || !theirs || is_deep(text));
	PROMISE(theirs || !ours || beyond_jansson(text));
	if (ours && theirs)
		PROMISE(keys.seen >= json_object_size(read));
	json_decref(read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	check_string((const char *)data, size);
	check_object((struct span){(const char *)data, size});
	return 0;
}
