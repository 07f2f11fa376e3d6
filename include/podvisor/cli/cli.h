/* cli owns the command line: which words lead to which command, and what its
 * end is told to the shell. */
#ifndef PODVISOR_CLI_CLI_H
#define PODVISOR_CLI_CLI_H

/* What `podvisor run` was asked for; one of them is NULL. Borrowed from argv. */
struct cli_run {
	const char *config; /* supervise what this file says */
	char **command; /* supervise this one, NULL-terminated */
};

/* Carries out the command that argv[1] names and returns the exit code: 0 done,
 * 1 the answer is no, 64 usage, 69 no supervisor answers, 70 a defect, 78 the
 * configuration is refused. run is called for `podvisor run`, whose code is its. */
int cli_main(int argc, char **argv, int (*run)(const struct cli_run *wanted));

#endif
