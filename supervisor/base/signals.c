#include "podvisor/base/signals.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>

/* The formatter never leaves this list as it is. */
/* clang-format off */
#define SIGNALS(X) \
	X(HUP) X(INT) X(QUIT) X(ILL) X(TRAP) X(ABRT) X(BUS) X(FPE) X(KILL) X(USR1) X(SEGV) X(USR2) X(PIPE) \
	X(ALRM) X(TERM) X(STKFLT) X(CHLD) X(CONT) X(STOP) X(TSTP) X(TTIN) X(TTOU) X(URG) X(XCPU) X(XFSZ) \
	X(VTALRM) X(PROF) X(WINCH) X(IO) X(PWR) X(SYS)
/* clang-format on */

static const char *const names[] = {
#define SIGNALS_NAME(name) [SIG##name] = "SIG" #name,
	SIGNALS(SIGNALS_NAME)
#undef SIGNALS_NAME
};

int signals_parse(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	if (digits && digits <= 2 && !text[digits]) {
		int number = atoi(text);
		return number >= 1 && number <= 64 ? number : -EINVAL;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i] && (strcasecmp(text, names[i]) == 0 || strcasecmp(text, names[i] + 3) == 0))
			return (int)i;
	return -EINVAL;
}

const char *signals_name(int number)
{
	return number > 0 && (size_t)number < sizeof(names) / sizeof(names[0]) ? names[number] : NULL;
}

void signals_describe_end(int status, char *out, size_t size)
{
	const char *name = WIFSIGNALED(status) ? signals_name(WTERMSIG(status)) : NULL;
	if (name)
		snprintf(out, size, "killed by %s", name);
	else if (WIFSIGNALED(status))
		snprintf(out, size, "killed by signal %d", WTERMSIG(status));
	else
		snprintf(out, size, "exited with code %d", WEXITSTATUS(status));
}
