#include "podvisor/runtime/words.h"

#include <stdlib.h>
#include <string.h>

struct waiting {
	struct list node;
	struct word word;
	char bytes[]; /* the subject with its NUL, then the text */
};

void words_init(struct words *w)
{
	list_init(&w->list);
	w->n = 0;
}

static void drop(void *ctx, const struct word *word)
{
	(void)ctx, (void)word;
}

void words_fini(struct words *w)
{
	words_release(w, drop, NULL);
}

bool words_keep(struct words *w, const struct word *word)
{
	size_t subject = strlen(word->subject) + 1;
	struct waiting *one = w->n < WORDS_MAX ? malloc(sizeof(*one) + subject + word->text.len) : NULL;
	if (!one)
		return false;
	one->word = *word;
	one->word.subject = memcpy(one->bytes, word->subject, subject);
	one->word.text.at = memcpy(one->bytes + subject, word->text.at, word->text.len);
	list_append(&w->list, &one->node);
	w->n++;
	return true;
}

void words_release(struct words *w, void (*tell)(void *ctx, const struct word *word), void *ctx)
{
	LIST_EACH (at, &w->list) {
		struct waiting *one = LIST_ENTRY(at, struct waiting, node);
		list_remove(&one->node);
		w->n--;
		tell(ctx, &one->word);
		free(one);
	}
}
