#include "podvisor/wire/logline_join.h"

#include <string.h>

#define INDENTED "^[ \\t]"

static const struct {
	const char *word, *pattern;
} presets[] = {
	/* The exception itself stands in a line behind the one that tells of it. */
	{"java", INDENTED "|^(Caused by|Suppressed): |^([\\w$]+\\.)+[\\w$]*(Exception|Error|Throwable)(: |$)"},
	/* So it does here, at the end of the trace; blank lines stand between a cause and its effect. */
	{"python", INDENTED "|^$|^Traceback \\(most recent call last\\):|^(\\w+\\.)+[A-Z]\\w*(: |$)"
			    "|^\\w*(Error|Exception|Warning|Interrupt|Exit|Iteration|Group)(: |$)"
			    "|^(During handling of the above|The above) exception"},
	/* Frames are main.f(...) above an indented place. */
	{"go", INDENTED
		"|^$|^goroutine \\d+ \\[|^[]\\w./*()\\[$%-]+\\(.*\\)$|^created by |^\\[signal |^exit status \\d"},
	{"node", INDENTED "|^$|^[]})]|^\\^+$|^Node\\.js v"},
};

int logline_join_new(struct pattern **out, const char *text, struct err *err)
{
	for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++)
		if (strcmp(presets[i].word, text) == 0)
			text = presets[i].pattern;
	return pattern_new(out, text, err);
}

bool logline_join_continues(struct pattern *p, struct span line)
{
	if (line.len > LOGLINE_JOIN_LOOK_BYTES)
		line.len = LOGLINE_JOIN_LOOK_BYTES;
	return pattern_matches(p, line);
}
