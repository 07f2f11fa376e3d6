/* last_words owns what podvisor leaves behind of why it ended: the sentences, in the
 * termination log (runtime/termination) that somebody reads when podvisor is gone. */
#ifndef PODVISOR_RUNTIME_LAST_WORDS_H
#define PODVISOR_RUNTIME_LAST_WORDS_H

#include "podvisor/model/world.h"
#include "podvisor/runtime/logs.h"

/* At the start and after a reload: whether they will find their place is told when
 * somebody still looks, once for each file. Also remembers the file for a panic. */
void last_words_prepare(struct world *w, ms_t now);
/* At the end: why, how the drain went, and the last lines of the worker that was to blame. */
void last_words_write(const struct world *w, struct logs *logs);
/* It never started: text is one line or several. path NULL: none is kept. */
void last_words_of_a_start(const char *path, const char *text);
/* Without memory. */
void last_words_of_a_panic(const char *why);

#endif
