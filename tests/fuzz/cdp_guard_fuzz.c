/* Any bytes of a client: what the guard lets through does not depend on how they are cut, is whole frames, and holds
 * no message that another reader (jansson) understands as one that ends Chrome. */
#include <string.h>

#include <jansson.h>

#include "fuzz.h"
#include "podvisor/wire/cdp_guard.h"

#define ROOMY ((size_t)4 << 20)

static void on_pass(void *ctx, struct span bytes)
{
	buf_put(ctx, bytes.at, bytes.len);
}

static void on_command(void *ctx, enum cdp_kind kind, const struct cdp_scan *message)
{
	(void)ctx;
	PROMISE(kind != CDP_OTHER && strlen(message->words[CDP_ID]) < CDP_WORD_BYTES);
}

static const struct cdp_guard_calls calls = {.pass = on_pass, .command = on_command};

static bool let_through(struct span bytes, size_t step, struct buf *out)
{
	struct cdp_guard g;
	cdp_guard_init(&g);
	while (bytes.len) {
		size_t n = bytes.len < step ? bytes.len : step;
		cdp_guard_take(&g, (struct span){bytes.at, n}, &calls, out);
		PROMISE(g.held.len <= CDP_HELD_BYTES);
		bytes = (struct span){bytes.at + n, bytes.len - n};
	}
	bool ended = g.end != NULL;
	cdp_guard_fini(&g);
	return ended;
}

static void check_text(struct span text)
{
	json_t *root = json_loadb(text.at, text.len, JSON_ALLOW_NUL, NULL);
	const json_t *method = json_object_get(root, "method");
	const char *name = json_string_value(method);
	size_t n = json_string_length(method);
	if (name && n == strlen(name))
		PROMISE(strcmp(name, "Browser.close") != 0 && strcmp(name, "Browser.crash") != 0);
	json_decref(root);
}

/* A naive reader of what came through. */
static void check_messages(struct span bytes)
{
	struct buf message;
	struct websocket_frame f;
	size_t head;
	buf_init(&message, ROOMY);
	while ((head = websocket_frame_decode(&f, bytes)) > 0 && f.length <= bytes.len - head) {
		size_t before = message.len;
		if (f.opcode < WEBSOCKET_CLOSE && buf_put(&message, bytes.at + head, (size_t)f.length) == 0)
			websocket_mask(message.data ? message.data + before : NULL, message.len - before, f.key, 0);
		if (f.opcode < WEBSOCKET_CLOSE && f.fin && message.len)
			check_text((struct span){message.data, message.len});
		if (f.opcode < WEBSOCKET_CLOSE && f.fin)
			buf_clear(&message);
		bytes = (struct span){bytes.at + head + (size_t)f.length, bytes.len - head - (size_t)f.length};
	}
	buf_fini(&message);
}

/* One frame around JSON, so that the fuzzer need not find out how a frame looks. */
static void check_json(struct span text)
{
	static const uint8_t key[4] = {1, 2, 3, 4};
	struct buf in, out;
	buf_init(&in, ROOMY);
	buf_init(&out, ROOMY);
	PROMISE(websocket_frame_head(&in, WEBSOCKET_TEXT, true, text.len, key) == 0);
	size_t head = in.len;
	buf_put(&in, text.at, text.len);
	websocket_mask(in.data + head, text.len, key, 0);
	PROMISE(!let_through((struct span){in.data, in.len}, in.len, &out));
	check_messages((struct span){out.data, out.len});
	buf_fini(&in);
	buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = {(const char *)data, size};
	struct buf whole, pieces;
	buf_init(&whole, ROOMY);
	buf_init(&pieces, ROOMY);
	bool ended = let_through(bytes, size + 1, &whole);
	PROMISE(let_through(bytes, size ? 1 + data[0] % 7 : 1, &pieces) == ended);
	PROMISE(whole.len == pieces.len && (!whole.len || !memcmp(whole.data, pieces.data, whole.len)));
	check_messages((struct span){whole.data, whole.len});
	check_json(bytes);
	buf_fini(&whole);
	buf_fini(&pieces);
	return 0;
}
