/* cli owns the command line: the table of commands, which feeds both dispatch
 * and help. `run` stands in the table for its help; main carries it out. */
#ifndef PODVISOR_CLI_CLI_H
#define PODVISOR_CLI_CLI_H

#include <stdio.h>

/* Carries out the command that argv[1] names and returns the exit code: 0 done,
 * 1 the answer is no, 64 usage, 69 no supervisor answers, 70 a defect, 78 the
 * configuration is refused. */
int cli_main(int argc, char **argv);

/* The help of one command, or of all (verb NULL or unknown). Returns 0. */
int cli_help(FILE *to, const char *verb);

#endif
