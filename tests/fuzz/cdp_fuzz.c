/* Chrome's messages are taken apart in the same way however they arrive, and read without harm. */
#include "fuzz.h"

#include "podvisor/wire/cdp.h"

static uint64_t read_all(struct span bytes, size_t step)
{
	struct cdp_reader r;
	cdp_reader_init(&r, 256);
	uint64_t seen = 14695981039346656037U;
	while (bytes.len) {
		struct span piece = {bytes.at, bytes.len < step ? bytes.len : step}, message;
		bytes.at += piece.len;
		bytes.len -= piece.len;
		while (cdp_reader_take(&r, &piece, &message)) {
			PROMISE(message.len <= 256);
			for (size_t i = 0; i < message.len; i++)
				seen = (seen ^ (unsigned char)message.at[i]) * 1099511628211U;
			seen = seen * 31 + message.len;
		}
		PROMISE(piece.len == 0);
	}
	seen = seen * 31 + r.skipped;
	cdp_reader_fini(&r);
	return seen;
}

static void understand(struct span text)
{
	struct cdp_message m;
	if (cdp_parse(text, &m))
		return;
	PROMISE(m.id > 0 || m.method);
	struct cdp_version version;
	int64_t attached = 0, detached = 0;
	(void)cdp_text(&m, "targetId");
	(void)cdp_evaluated_to(&m, 1);
	if (cdp_read_version(&m, &version))
		PROMISE(version.product[sizeof(version.product) - 1] == '\0');
	cdp_count_pages(&m, NULL, &attached, &detached);
	PROMISE(attached >= 0 && detached >= 0);
	cdp_message_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span bytes = {(const char *)data, size};
	PROMISE(read_all(bytes, size + 1) == read_all(bytes, size ? 1 + data[0] % 5 : 1));
	understand(bytes);
	return 0;
}
