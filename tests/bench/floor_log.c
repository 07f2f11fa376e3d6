/* floor_log: a log sink without features. Reads what a pipe holds, puts a time
 * stamp in front of each line, writes it all at once. */
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IN_BYTES 65536

static char in[IN_BYTES];
static char out[IN_BYTES * 26]; /* even if every byte were a line */

static size_t write_stamp(char *at)
{
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	return strftime(at, 25, "%Y-%m-%dT%H:%M:%SZ ", &tm);
}

static size_t stamp_lines(size_t n)
{
	static size_t in_line;
	char stamp[25];
	size_t stamp_len = write_stamp(stamp), used = 0;
	for (size_t at = 0; at < n;) {
		const char *end = memchr(in + at, '\n', n - at);
		size_t len = end ? (size_t)(end - in) + 1 - at : n - at;
		if (!in_line) {
			memcpy(out + used, stamp, stamp_len);
			used += stamp_len;
		}
		memcpy(out + used, in + at, len);
		used += len;
		at += len;
		in_line = !end;
	}
	return used;
}

int main(void)
{
	ssize_t n;
	while ((n = read(STDIN_FILENO, in, sizeof(in))) > 0)
		if (write(STDOUT_FILENO, out, stamp_lines((size_t)n)) < 0)
			return 1;
	return 0;
}
