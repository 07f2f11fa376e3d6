#include "podvisor/cli/wrap.h"

#include <string.h>

void wrap_put(FILE *to, const char *text, int taken, int indent)
{
	int column = taken;
	for (size_t n; *text; text += n + (text[n] != '\0')) {
		n = strcspn(text, " \n");
		if (column > indent && column + 1 + (int)n > WRAP_COLUMNS)
			column = fprintf(to, "\n%*s", indent, "") - 1;
		column += fprintf(to, "%s%.*s", column > indent ? " " : "", (int)n, text);
		if (text[n] == '\n')
			column = fprintf(to, "\n%*s", indent, "") - 1;
	}
	fputc('\n', to);
}
