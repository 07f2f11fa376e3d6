/* flood FIFO LINES BATCH: writes LINES lines of 100 bytes, BATCH of them at a
 * time, and one that says that it was the last; stamps the beginning and the end. */
#include <stdio.h>
#include <string.h>

#include "stamp.h"

#define LINE_BYTES 100
#define BATCH_MAX  640
#define LIFE_S     120
#define LAST_LINE  "this was the last line\n"

static char text[LINE_BYTES * BATCH_MAX];

static int write_all(size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t done = write(STDOUT_FILENO, text + at, n - at);
		if (done <= 0)
			return -1;
		at += (size_t)done;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 64;
	long lines = atol(argv[2]), batch = atol(argv[3]);
	if (batch < 1 || batch > BATCH_MAX)
		return 64;
	stamp_live_at_most(LIFE_S);
	memset(text, 'x', sizeof(text));
	for (long i = 1; i <= batch; i++)
		text[i * LINE_BYTES - 1] = '\n';
	stamp_write(argv[1], STAMP_BEGIN);
	for (long at = 0; at < lines; at += batch)
		if (write_all((size_t)(lines - at < batch ? lines - at : batch) * LINE_BYTES) < 0)
			return 1;
	if (write(STDOUT_FILENO, LAST_LINE, sizeof(LAST_LINE) - 1) < 0)
		return 1;
	stamp_write(argv[1], STAMP_END);
	return 0;
}
