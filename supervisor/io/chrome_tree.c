#include "podvisor/io/chrome_tree.h"

#include <errno.h>
#include <signal.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "podvisor/io/proc_tree.h"
#include "podvisor/io/tree_usage.h"

#define COMMAND_LINE_MAX 16384
#define ANCESTORS_MAX    64
#define SWEEPS           20
#define SWEEP_MS         20

/* The value of a word --name=value; a process that a zygote has made writes its words with blanks. */
static bool find_value(struct span line, const char *name, struct span *value)
{
	size_t n = strlen(name);
	for (size_t i = 0; i + n <= line.len; i++) {
		bool begins = i == 0 || line.at[i - 1] == '\0' || line.at[i - 1] == ' ';
		if (!begins || memcmp(line.at + i, name, n) != 0)
			continue;
		size_t end = i + n;
		while (end < line.len && line.at[end] != '\0' && line.at[end] != ' ')
			end++;
		*value = (struct span){line.at + i + n, end - i - n};
		return true;
	}
	return false;
}

static enum chrome_type utility_type(struct span line)
{
	struct span sub;
	if (!find_value(line, "--utility-sub-type=", &sub))
		return CHROME_UTILITY;
	if (span_equals(sub, "network.mojom.NetworkService"))
		return CHROME_NETWORK;
	return span_equals(sub, "storage.mojom.StorageService") ? CHROME_STORAGE : CHROME_UTILITY;
}

/* Full Chromium's processes write their title anew, as one string with blanks. */
static size_t program_length(struct span line)
{
	size_t n = strnlen(line.at, line.len);
	const char *option = memmem(line.at, n, " --", 3);
	return option ? (size_t)(option - line.at) : n;
}

enum chrome_type chrome_tree_type_of(struct span line)
{
	static const struct {
		const char *word;
		enum chrome_type type;
	} types[] = {{"renderer", CHROME_RENDERER}, {"gpu-process", CHROME_GPU}, {"zygote", CHROME_ZYGOTE},
		{"crashpad-handler", CHROME_CRASHPAD}};
	struct span type;
	size_t program = line.len ? program_length(line) : 0;
	if (program && memmem(line.at, program, "crashpad", 8))
		return CHROME_CRASHPAD;
	if (!find_value(line, "--type=", &type))
		return CHROME_OTHER;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		if (span_equals(type, types[i].word))
			return types[i].type;
	return span_equals(type, "utility") ? utility_type(line) : CHROME_OTHER;
}

static void note(struct chrome_tree *out, const struct proc_entry *e, enum chrome_type type, pid_t main)
{
	out->processes[type]++;
	if (type == CHROME_GPU)
		out->gpu = e->pid;
	else if (type == CHROME_NETWORK)
		out->network = e->pid;
	else if (type == CHROME_ZYGOTE && e->parent == main && out->n_zygotes < CHROME_ZYGOTES_MAX)
		out->zygotes[out->n_zygotes++] = e->pid;
}

int chrome_tree_read(pid_t shim, pid_t main, bool with_memory, struct chrome_tree *out)
{
	struct proc_tree t;
	char line[COMMAND_LINE_MAX];
	int rc = proc_tree_read(&t);
	if (rc < 0)
		return rc;
	*out = (struct chrome_tree){0};
	for (size_t i = 0; i < t.n; i++) {
		const struct proc_entry *e = &t.entries[i];
		if (e->state == 'Z' || e->state == 'X' || proc_tree_root_of(&t, e, &shim, 1) < 0)
			continue;
		ssize_t n = proc_tree_file(e->pid, 0, "cmdline", line, sizeof(line));
		enum chrome_type type = e->pid == main ? CHROME_BROWSER
					: n > 0        ? chrome_tree_type_of((struct span){line, (size_t)n})
						       : CHROME_OTHER;
		note(out, e, type, main);
		if (with_memory)
			out->memory_bytes[type] += tree_usage_memory_of(e->pid);
	}
	proc_tree_fini(&t);
	return 0;
}

bool chrome_tree_is_gone(pid_t pid)
{
	char text[1024];
	if (kill(pid, 0) < 0)
		return errno == ESRCH;
	const char *at = proc_tree_file(pid, 0, "stat", text, sizeof(text)) > 0 ? strrchr(text, ')') : NULL;
	return at && at[1] == ' ' && (at[2] == 'Z' || at[2] == 'X');
}

/* ---- what is left of one that has ended ---- */

bool chrome_tree_names(struct span line, const char *directory)
{
	size_t n = strlen(directory);
	for (size_t i = 0; i + n <= line.len; i++) {
		char next = i + n < line.len ? line.at[i + n] : '\0';
		if (memcmp(line.at + i, directory, n) == 0 && (next == '\0' || next == '/' || next == ' '))
			return true;
	}
	return false;
}

/* Not every process names its profile, but each began in its generation's directory. */
static bool belongs_to(pid_t pid, const char *directory)
{
	char line[COMMAND_LINE_MAX], path[64];
	ssize_t n = proc_tree_file(pid, 0, "cmdline", line, sizeof(line));
	if (n > 0 && chrome_tree_names((struct span){line, (size_t)n}, directory))
		return true;
	snprintf(path, sizeof(path), "/proc/%d/cwd", (int)pid);
	n = readlink(path, line, sizeof(line));
	return n > 0 && chrome_tree_names((struct span){line, (size_t)n}, directory);
}

/* What a shim that runs has started is its own, even when it names that directory. */
static bool is_of_a_shim(const struct proc_tree *t, const struct proc_entry *e, pid_t self)
{
	char line[COMMAND_LINE_MAX];
	for (int i = 0; e && e->parent != self && i < ANCESTORS_MAX; i++)
		e = proc_tree_find(t, e->parent);
	ssize_t n = e ? proc_tree_file(e->pid, 0, "cmdline", line, sizeof(line)) : 0;
	return n > 0 && memmem(line, strnlen(line, (size_t)n), "podvisor-shim", 13);
}

static int kill_those_of(const char *directory)
{
	struct proc_tree t;
	int found = 0;
	pid_t self = getpid();
	if (proc_tree_read(&t) < 0)
		return 0;
	for (size_t i = 0; i < t.n; i++) {
		const struct proc_entry *e = &t.entries[i];
		bool ours = e->state != 'Z' && e->state != 'X' && proc_tree_root_of(&t, e, &self, 1) >= 0;
		if (!ours || !belongs_to(e->pid, directory) || is_of_a_shim(&t, e, self))
			continue;
		found++;
		kill(e->pid, SIGKILL);
	}
	proc_tree_fini(&t);
	return found;
}

int chrome_tree_sweep(const char *directory)
{
	int found = kill_those_of(directory);
	for (int i = 0; found && i < SWEEPS; i++) {
		nanosleep(&(struct timespec){.tv_nsec = SWEEP_MS * 1000000L}, NULL);
		found = kill_those_of(directory);
	}
	return found;
}
