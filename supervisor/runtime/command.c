#include "podvisor/runtime/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "podvisor/base/list.h"
#include "podvisor/wire/shim.h"

struct commands {
	const struct context *context;
	struct list jobs; /* in the pool, wanted or not */
	int at_most;
};

/* What can be said without asking anybody is in it from the start. */
struct command {
	struct list node; /* in commands.jobs while it is in the pool */
	struct commands *owner; /* NULL: gone */
	struct config *source; /* held */
	const struct config_worker *config;
	uint32_t slot;
	struct account account;
	struct buf *files; /* contents of config->env_files */
	size_t n_files;
	command_ready ready; /* NULL: nobody waits any more */
	void *ctx;
	uv_work_t work;
	bool in_pool;
	int rc;
	struct err err;
};

static void destroy(struct command *c)
{
	for (size_t i = 0; i < c->n_files; i++)
		buf_fini(&c->files[i]);
	free(c->files);
	config_release(c->source);
	free(c);
}

void command_free(struct command *c)
{
	if (!c)
		return;
	c->ready = NULL;
	if (!c->in_pool)
		destroy(c);
	else
		uv_cancel((uv_req_t *)&c->work);
}

/* ---- in the pool ---- */

static void look_up(uv_work_t *work)
{
	struct command *c = work->data;
	c->rc = account_find(c->config->user, c->config->group, &c->account, &c->err);
	for (char **file = c->config->env_files; c->rc == 0 && file && *file; file++)
		c->rc = environment_read_file(*file, &c->files[c->n_files++], &c->err);
}

static void on_looked_up(uv_work_t *work, int status)
{
	struct command *c = work->data;
	command_ready ready = c->ready;
	c->in_pool = false;
	if (c->owner)
		list_remove(&c->node);
	if (ready && c->owner)
		ready(c->ctx, status < 0 ? status : c->rc, &c->err);
	else
		destroy(c);
}

/* ---- on the loop ---- */

static size_t count_files(const struct config_worker *config)
{
	size_t n = 0;
	while (config->env_files && config->env_files[n])
		n++;
	return n;
}

static int count_jobs(const struct commands *c, uint32_t slot)
{
	int n = 0;
	LIST_EACH (at, &c->jobs)
		n += LIST_ENTRY(at, struct command, node)->slot == slot;
	return n;
}

static int begin(struct command *c, struct err *err)
{
	struct commands *owner = c->owner;
	size_t n = count_files(c->config);
	if (!n && !c->config->user && !c->config->group)
		return 1;
	if (count_jobs(owner, c->slot) >= owner->at_most)
		return err_set(err, -EBUSY, "an earlier look-up of its user or reading of its env_files still hangs");
	c->files = calloc(n + 1, sizeof(*c->files));
	if (!c->files)
		return err_set(err, -ENOMEM, "out of memory");
	c->work.data = c;
	int rc = uv_queue_work(&owner->context->loop->uv, &c->work, look_up, on_looked_up);
	if (rc < 0)
		return err_set(err, rc, "%s", strerror(-rc));
	c->in_pool = true;
	list_append(&owner->jobs, &c->node);
	return 0;
}

int command_prepare(struct command **out, struct commands *owner, const struct worker *worker, command_ready ready,
	void *ctx, struct err *err)
{
	struct config *source = worker->run_source ? worker->run_source : worker->source;
	struct command *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	*c = (struct command){.owner = owner,
		.source = source ? config_hold(source) : NULL,
		.config = worker->run_config ? worker->run_config : worker->config,
		.slot = worker->slot,
		.account = {.uid = getuid(), .gid = getgid()},
		.ready = ready,
		.ctx = ctx};
	int rc = begin(c, err);
	if (rc < 0)
		destroy(c);
	else
		*out = c;
	return rc;
}

uid_t command_uid(const struct command *c)
{
	return c->account.uid;
}

static int fill_environment(struct command *c, const struct worker *worker, struct environment *env, struct err *err)
{
	const struct config_worker *config = c->config;
	int rc = environment_inherit(env);
	if (rc == 0 && config->user && c->account.home[0])
		rc = environment_set(env, "HOME", "%s", c->account.home);
	if (rc == 0 && config->user && c->account.name[0])
		rc = environment_set(env, "USER", "%s", c->account.name);
	for (size_t i = 0; rc == 0 && i < c->n_files; i++)
		rc = environment_take_file(env, &c->files[i], config->env_files[i], err);
	rc = rc ? rc : environment_set_pairs(env, config->env, config->n_env);
	rc = rc ? rc : environment_set(env, "PODVISOR_WORKER", "%s", worker->name);
	rc = rc ? rc : environment_set(env, "PODVISOR_INSTANCE_INDEX", "%d", worker->instance);
	return rc == -ENOMEM ? err_set(err, rc, "out of memory") : rc;
}

int command_describe(struct command *c, const struct worker *worker, struct environment *env, struct process_spec *spec,
	struct err *err)
{
	const struct config_worker *config = c->config;
	int rc = fill_environment(c, worker, env, err);
	if (rc < 0)
		return rc;
	spec->name = worker->name;
	spec->env = env->vars;
	spec->cwd = config->cwd;
	spec->umask = config->umask < 0 ? PROCESS_INHERIT : config->umask;
	if (config->user || config->group) {
		spec->uid = c->account.uid;
		spec->gid = c->account.gid;
		spec->groups = c->account.groups;
		spec->n_groups = (size_t)c->account.n_groups;
	}
	return 0;
}

/* What the configuration names, and a step is about; NULL: nothing. */
static const char *named_at(const struct config_worker *config, enum shim_step step)
{
	switch (step) {
	case SHIM_STEP_EXEC:
		return config->command[0];
	case SHIM_STEP_CWD:
		return config->cwd;
	case SHIM_STEP_GID:
		return config->group ? config->group : config->user;
	case SHIM_STEP_GROUPS:
	case SHIM_STEP_UID:
		return config->user ? config->user : config->group;
	default:
		return NULL;
	}
}

void command_explain(const struct config_worker *config, enum shim_step step, int error, char *out, size_t size)
{
	const char *name = named_at(config, step);
	if (step == SHIM_STEP_EXEC)
		snprintf(out, size, "cannot execute %.80s: %s", name, strerror(-error));
	else
		snprintf(out, size, "cannot %s%s%.70s%s: %s", shim_step_text(step), name ? " (" : "", name ? name : "",
			name ? ")" : "", strerror(-error));
}

/* ---- all of them ---- */

int commands_new(struct commands **out, const struct context *context, int at_most, struct err *err)
{
	struct commands *c = calloc(1, sizeof(*c));
	if (!c)
		return err_set(err, -ENOMEM, "out of memory");
	*c = (struct commands){.context = context, .at_most = at_most};
	list_init(&c->jobs);
	*out = c;
	return 0;
}

void commands_free(struct commands *c)
{
	if (!c)
		return;
	LIST_EACH (at, &c->jobs) {
		struct command *command = LIST_ENTRY(at, struct command, node);
		list_remove(&command->node);
		command->owner = NULL;
		uv_cancel((uv_req_t *)&command->work);
	}
	free(c);
}
