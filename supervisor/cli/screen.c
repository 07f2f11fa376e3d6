#include "podvisor/cli/screen.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "podvisor/cli/glyph.h"

/* xterm's control sequences, which every terminal of today knows (ECMA-48 8.3). */
#define OTHER_SCREEN "\033[?1049h\033[?25l"
#define OWN_SCREEN   "\033[?25h\033[?1049l"
#define HOME         "\033[H"
#define CLEAR_LINE   "\033[K"
#define CLEAR_BELOW  "\033[J"
#define PLAIN        "\033[0m"

enum { COLUMNS_GUESS = 80, ROWS_GUESS = 24, SIZE_LEAST = 10 };

/* A terminal that does not know its size, as over a serial line, is told by the environment. */
static int size_of(int told, const char *variable, int guess)
{
	const char *text = getenv(variable);
	int size = told > 0 ? told : text ? atoi(text) : 0;
	if (size <= 0)
		size = guess;
	return size < SIZE_LEAST ? SIZE_LEAST : size;
}

int screen_columns(FILE *to)
{
	struct winsize w = {0};
	if (!isatty(fileno(to)))
		return 0;
	ioctl(fileno(to), TIOCGWINSZ, &w);
	return size_of(w.ws_col, "COLUMNS", COLUMNS_GUESS);
}

int screen_rows(FILE *to)
{
	struct winsize w = {0};
	if (!isatty(fileno(to)))
		return 0;
	ioctl(fileno(to), TIOCGWINSZ, &w);
	return size_of(w.ws_row, "LINES", ROWS_GUESS);
}

bool screen_can_draw(FILE *to)
{
	const char *terminal = getenv("TERM");
	return isatty(fileno(to)) && terminal && strcmp(terminal, "dumb") != 0;
}

static bool is_colour(const char *at)
{
	return at[0] == '\033' && at[1] == '[';
}

/* Bytes of one escape sequence, or of one character and what it takes. */
static size_t next_piece(const char *at, int *columns)
{
	*columns = 0;
	if (is_colour(at))
		return strcspn(at, "m\n") + (strchr(at, 'm') != NULL);
	size_t n = glyph_next(at, columns);
	*columns = *columns < 0 ? 1 : *columns;
	return n;
}

static int columns_of_line(const char *line)
{
	int all = 0, one;
	while (*line && *line != '\n') {
		line += next_piece(line, &one);
		all += one;
	}
	return all;
}

const char *screen_put_line(FILE *to, const char *line, int columns)
{
	bool cut = columns > 0 && columns_of_line(line) > columns, coloured = false;
	int left = columns - 1, one;
	if (!cut) {
		size_t n = strcspn(line, "\n");
		fwrite(line, 1, n, to);
		return line + n;
	}
	for (size_t n; *line && *line != '\n'; line += n) {
		n = next_piece(line, &one);
		left -= one;
		if (left < 0)
			break;
		coloured |= is_colour(line);
		fwrite(line, 1, n, to);
	}
	fprintf(to, "…%s", coloured ? PLAIN : "");
	return line + strcspn(line, "\n");
}

void screen_put_lines(FILE *to, const char *text, int columns)
{
	while (*text) {
		text = screen_put_line(to, text, columns);
		fputc('\n', to);
		text += *text == '\n';
	}
}

void screen_enter(FILE *to)
{
	fputs(OTHER_SCREEN HOME CLEAR_BELOW, to);
	fflush(to);
}

void screen_leave(FILE *to)
{
	fputs(OWN_SCREEN, to);
	fflush(to);
}

/* Each line clears what is behind it and the last what is below: nothing is
 * cleared that is drawn again, so nothing flickers. The last row gets no
 * newline, which would scroll. */
void screen_draw(FILE *to, const char *text)
{
	int columns = screen_columns(to), rows = screen_rows(to);
	fputs(HOME, to);
	for (int row = 1; *text && row <= rows; row++) {
		text = screen_put_line(to, text, columns);
		fputs(CLEAR_LINE, to);
		text += *text == '\n';
		fputs(*text && row < rows ? "\r\n" : "", to);
	}
	fputs(CLEAR_BELOW, to);
	fflush(to);
}
