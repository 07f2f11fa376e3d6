/* browser_launch owns what a Chrome is started with: which program, which flags,
 * which environment, as whom, in which directory. SPEC 4. */
#ifndef PODVISOR_RUNTIME_BROWSER_LAUNCH_H
#define PODVISOR_RUNTIME_BROWSER_LAUNCH_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "podvisor/base/buf.h"
#include "podvisor/base/err.h"
#include "podvisor/io/account.h"
#include "podvisor/model/config.h"
#include "podvisor/runtime/environment.h"

/* A start with less room on the disk is refused: Chrome would write an empty port
 * file and hang for ever. */
#define BROWSER_ROOM_BYTES ((int64_t)64 << 20)

/* Of all its generations: below its volume, by its name. */
#define BROWSER_HOME "chrome/%s"

struct browser_launch {
	char executable[PATH_MAX];
	char home[PATH_MAX]; /* VOLUME/chrome/NAME: of all generations */
	char directory[PATH_MAX]; /* home/gN: of this one */
	char trash[PATH_MAX]; /* home/trash-gN: what the directory is called while it goes */
	char **argv; /* NULL-terminated, owned */
	size_t argc;
	struct environment env;
	struct account account;
	bool sandboxed;
	char remark[160]; /* why there is no sandbox, when nobody chose so; "" */
};

/* Reads the disk, so it belongs into a thread. sandbox_refused: an earlier run said
 * that it cannot have one. On failure nothing is owned; -ENOENT, -EACCES, -ENOEXEC and
 * -EINVAL mean that the configuration is at fault. */
int browser_launch_init(struct browser_launch *l, const struct config_browser *config, const char *volume_path,
	uint64_t generation, bool sandbox_refused, struct err *err) MUST_CHECK;
void browser_launch_fini(struct browser_launch *l);
/* Makes gN/{profile,tmp,home,cache}, 0700, of the browser's user. first: removes what
 * earlier lives of podvisor left in home. In a thread. -ENOSPC: too little room. */
int browser_launch_make_directories(const struct browser_launch *l, bool first, struct err *err) MUST_CHECK;

/* The whole command as a shell would take it, for `check --print`. */
int browser_launch_print(
	const struct config_browser *config, const char *volume_path, struct buf *out, struct err *err) MUST_CHECK;

#endif
