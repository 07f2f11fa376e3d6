/* What the files of the browsers know of each other:
 *
 *   browsers.c       birth and death, effects, the address of each browser
 *   browser_run.c    one generation: prepared, spawned, ended, removed
 *   browser_facts.c  what a generation and its Chrome tell, and what they use
 *
 * What is in a thread still points to its run, and the run to the browsers: the last
 * one to come back frees them. */
#ifndef PODVISOR_RUNTIME_BROWSERS_INTERNAL_H
#define PODVISOR_RUNTIME_BROWSERS_INTERNAL_H

#include "podvisor/base/list.h"
#include "podvisor/io/cgroup.h"
#include "podvisor/io/process.h"
#include "podvisor/io/remove_tree.h"
#include "podvisor/runtime/browser_census.h"
#include "podvisor/runtime/browser_endpoint.h"
#include "podvisor/runtime/browser_janitor.h"
#include "podvisor/runtime/browser_launch.h"
#include "podvisor/runtime/browser_output.h"
#include "podvisor/runtime/browser_probe.h"
#include "podvisor/runtime/context.h"

/* What outlives the generations of one browser. */
struct browser_instance {
	struct browsers *owner;
	uint32_t slot;
	struct config *source; /* held for the endpoint, which borrows from it */
	struct browser_endpoint *endpoint;
	bool wiped; /* what earlier lives of podvisor left has been removed */
	bool sandbox_refused;
};

/* One generation, from the launch until its directory is removed. */
struct browser_run {
	struct list node;
	struct browsers *owner;
	struct browser_instance *instance;
	uint64_t run, generation;
	struct config *source; /* held */
	const struct config_browser *config;
	char *volume_path;
	uv_work_t work; /* of preparing, and of looking what is left */
	struct err failure; /* of preparing */
	int leftover;
	struct browser_launch launch;
	struct process process;
	struct browser_probe *probe;
	struct browser_output *output;
	struct browser_census *census;
	struct browser_janitor *janitor; /* from the moment that it serves */
	struct chrome_tree tree; /* as of the last look */
	int64_t pages_attached, pages_detached, opened_before; /* before: by the proof */
	bool in_thread, aborted, spawned, ended, served;
};

struct browsers {
	const struct context *context;
	struct process_port port;
	struct remover *remover;
	struct list runs;
	struct browser_instance *instances;
	size_t n_instances;
	struct cgroup cgroup;
	bool has_cgroup;
	uv_idle_t first, last;
	bool freed, closed; /* closed: what may still be in a thread holds the memory */
};

/* ---- browsers.c ---- */

/* Frees them when nobody is there any more. */
void browsers_release(struct browsers *b);
/* The RAM disk of a browser; NULL: it has none. */
const char *browsers_volume_path(const struct config *config, const struct config_browser *browser);

/* ---- browser_run.c ---- */

struct browser_run *browser_run_new(struct browsers *b, const struct effect *e);
void browser_run_free(struct browser_run *r);
/* It ends before it has begun. */
void browser_run_give_up(struct browser_run *r, int error, const char *text);
/* Prepares it in a thread, then spawns it. */
void browser_run_start(struct browser_run *r);
/* EFFECT_BROWSER_CLOSE, SIGNAL and KILL. */
void browser_run_end(struct browser_run *r, const struct effect *e);
/* Nothing of it runs any more: its directory goes, and then the run. */
void browser_run_clean(struct browser_run *r);
void browser_run_drop_ports(struct browser_run *r);
/* What its process tells. */
void browser_run_on_exec_failed(void *ctx, struct process *p, int error, enum shim_step step);

/* ---- browser_facts.c ---- */

/* Posts an event of this run. */
void browser_facts_post(const struct browser_run *r, struct event *e);
struct browser_meter *browser_facts_meter(const struct browsers *b, uint32_t slot);
/* What a browser uses, its generations together, goes to its meter. */
void browser_facts_sum(const struct browser_instance *i);
extern const struct browser_probe_calls browser_facts_of_probe;
extern const struct browser_endpoint_calls browser_facts_of_endpoint;
extern const struct browser_janitor_calls browser_facts_of_janitor;
void browser_facts_on_started(void *ctx, struct process *p, pid_t pid);
void browser_facts_on_exited(void *ctx, struct process *p, const struct process_exit *end);
void browser_facts_on_gone(void *ctx, struct process *p, int killed);

#endif
