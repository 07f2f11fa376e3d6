/* interrupt owns the end of a command that would go on for ever: SIGINT,
 * SIGTERM and SIGHUP end it in order, with exit code 0. */
#ifndef PODVISOR_CLI_INTERRUPT_H
#define PODVISOR_CLI_INTERRUPT_H

#include <stdbool.h>

/* A descriptor that is readable once one of the signals came; the signals do
 * nothing else from then on. -1 when the kernel has none left: the signals
 * then end the process. It stays open for the life of the process. */
int interrupt_open(void);
/* The same, with SIGTSTP and SIGWINCH among the signals: for who draws. */
int interrupt_open_drawing(void);
/* Sleeps; true as soon as a signal came. */
bool interrupt_wait(int fd, int ms);
/* The signal that came, which is then forgotten; 0: none. */
int interrupt_take(int fd);

#endif
