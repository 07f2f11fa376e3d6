/* err owns the one form in which a failure travels upward: a negative errno
 * for programs and a sentence for people. Libraries fill it and return; only
 * the edges (main, cli, runtime) log it, once. */
#ifndef PODVISOR_BASE_ERR_H
#define PODVISOR_BASE_ERR_H

#define ERR_TEXT_MAX 512

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* A value: copy it freely. text is "" as long as nothing failed. */
struct err {
	int code; /* negative errno, 0 when nothing failed */
	char text[ERR_TEXT_MAX];
};

/* Stores the sentence in err (which may be NULL) and returns code, so that
 * `return err_set(err, -ENOENT, "no worker named %s", name);` is one line.
 * code must be negative. The sentence is cut at ERR_TEXT_MAX - 1 bytes. */
int err_set(struct err *err, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " in front of the sentence that err already carries. */
void err_prefix(struct err *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
