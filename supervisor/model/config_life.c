#include "podvisor/model/config.h"

#include <stdlib.h>
#include <string.h>

#include "config_secret.h"
#include "config_walk.h"

struct config *config_hold(struct config *c)
{
	if (c)
		c->refs++;
	return c;
}

void config_release(struct config *c)
{
	if (!c || --c->refs > 0)
		return;
	for (size_t i = 0; i < c->n_workers; i++) {
		free(c->workers[i].depends_on);
		free(c->workers[i].restart_with);
		tzif_free(c->workers[i].zone);
	}
	config_walk_free(&config_root, c);
	config_secret_free(c);
	free(c->secrets);
	free(c);
}

static char **copy_strings(char *const strings[])
{
	size_t n = 0;
	while (strings[n])
		n++;
	char **copy = config_strings_new(n);
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(strings[i]);
		if (!copy[i]) {
			config_strings_free(copy);
			return NULL;
		}
	}
	return copy;
}

static bool add_main(struct config *c, char *const argv[])
{
	c->workers = calloc(1, sizeof(*c->workers));
	if (!c->workers)
		return false;
	c->n_workers = 1;
	struct config_worker *w = &c->workers[0];
	if (!config_walk_defaults(&config_section_worker, w))
		return false;
	config_strings_free(w->command);
	w->command = copy_strings(argv);
	w->name = strdup("main");
	w->depends_on = calloc(1, sizeof(*w->depends_on));
	w->critical = true;
	w->restart.policy = RESTART_NEVER;
	w->interactive = true;
	return w->command && w->name && w->depends_on;
}

struct config *config_for_command(char *const argv[])
{
	struct config *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->refs = 1;
	if (!config_walk_defaults(&config_root, c) || !add_main(c, argv)) {
		config_release(c);
		return NULL;
	}
	free(c->control.listen);
	c->control.listen = NULL;
	c->memory.guard = MEMORY_GUARD_OFF; /* there is nothing that may give way */
	/* As quiet as the command itself: its stderr is shared with the log. */
	c->log.level = LOG_WARN;
	return c;
}
