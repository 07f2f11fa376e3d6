/* notify owns the meaning of one sd_notify datagram: newline-separated
 * NAME=value assignments (sd_notify(3)). Unknown names are ignored, as the
 * protocol wants. */
#ifndef PODVISOR_WIRE_NOTIFY_H
#define PODVISOR_WIRE_NOTIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTIFY_DATAGRAM_MAX 4096

struct notify_message {
	bool ready, stopping, reloading, watchdog, watchdog_trigger, barrier, fdstore;
	bool has_status, has_errno, has_mainpid, has_extend, has_watchdog_usec, has_progress;
	char status[160]; /* printable; cut */
	int errno_value;
	int mainpid;
	int64_t extend_us, watchdog_us; /* never negative; INT64_MAX: that or more */
	int64_t progress; /* X_PROGRESS=, podvisor's own */
};

/* Reads a datagram of n bytes. Assignments whose value does not parse are
 * skipped. Returns the number of assignments understood. */
int notify_parse(const char *bytes, size_t n, struct notify_message *out);

/* The lines of a datagram that mean to a supervisor further out what they mean here; into out, which has room for n
 * bytes. Those about processes and descriptors do not: MAINPID, BARRIER, and all of FDSTORE. Returns how many bytes. */
size_t notify_pass_on(const char *bytes, size_t n, char *out);

#endif
