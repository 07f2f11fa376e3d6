/* terminal owns podvisor's part in handing a controlling terminal (docker run -it, stdin and tty of a pod) on to the
 * command: podvisor gives it up, and the shim lets the command's new session take it (struct process_spec.terminal). */
#ifndef PODVISOR_IO_TERMINAL_H
#define PODVISOR_IO_TERMINAL_H

/* Gives up the terminal at stdin if it is that of our own session, which we lead; else nothing happens, for it belongs
 * to the shell that started us. Call it before SIGHUP has a handler, which it must not have. */
void terminal_give_up(void);

#endif
