/* main wires the rooms together; it is the only file that knows everyone. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "podvisor/base/panic.h"
#include "podvisor/base/signals.h"
#include "podvisor/cli/cli.h"
#include "podvisor/cli/version.h"
#include "podvisor/control/control.h"
#include "podvisor/io/cgroup.h"
#include "podvisor/io/listener.h"
#include "podvisor/io/loop.h"
#include "podvisor/io/outer_notify.h"
#include "podvisor/io/process.h"
#include "podvisor/io/reaper.h"
#include "podvisor/io/runtime_dir.h"
#include "podvisor/io/signal_watch.h"
#include "podvisor/io/terminal.h"
#include "podvisor/model/reconcile.h"
#include "podvisor/model/reload.h"
#include "podvisor/model/world.h"
#include "podvisor/runtime/announcer.h"
#include "podvisor/runtime/browsers.h"
#include "podvisor/runtime/checks.h"
#include "podvisor/runtime/configuration.h"
#include "podvisor/runtime/databases.h"
#include "podvisor/runtime/forwarding.h"
#include "podvisor/runtime/full_state.h"
#include "podvisor/runtime/gateway.h"
#include "podvisor/runtime/inspections.h"
#include "podvisor/runtime/last_words.h"
#include "podvisor/runtime/leases.h"
#include "podvisor/runtime/logs.h"
#include "podvisor/runtime/pod_memory.h"
#include "podvisor/runtime/progress_queries.h"
#include "podvisor/runtime/stop_commands.h"
#include "podvisor/runtime/termination.h"
#include "podvisor/runtime/usage.h"
#include "podvisor/runtime/volumes.h"
#include "podvisor/runtime/workers.h"

enum { EXIT_DEFECT = 70, EXIT_NEVER_STARTED = 78 };

#define LEAVE_MS (PROCESS_ANSWER_MS + 1000)

/* With a configuration: what means nothing must neither end nor stop the pod, for a supervisor that is stopped restarts
 * nobody. Of a terminal's job control two are ignored: one that is caught would come again with each read or write of
 * a process in the background. run -- COMMAND passes on what can be. */
#define BIT                SIGNAL_WATCH_BIT
#define IGNORED_SIGNALS    (BIT(SIGTTIN) | BIT(SIGTTOU))
#define SUPERVISOR_SIGNALS (SIGNAL_WATCH_ALL & ~(IGNORED_SIGNALS | BIT(SIGCONT) | BIT(SIGURG)))
#define SILENT_SIGNALS     (BIT(SIGUSR1) | BIT(SIGUSR2) | BIT(SIGWINCH))

struct pod {
	struct loop loop;
	struct world *world;
	struct plan plan;
	struct meters meters;
	struct output output;
	struct context context;
	struct reaper reaper;
	struct logs *logs;
	struct workers *workers;
	struct checks *checks;
	struct volumes *volumes;
	struct databases *databases;
	struct leases *leases;
	struct browsers *browsers;
	struct gateways *gateways;
	struct usage *usage;
	struct pod_memory *memory;
	struct inspections *inspections;
	struct stop_commands *stop_commands;
	struct progress_queries *progress_queries;
	struct cgroup cgroup;
	bool has_cgroup;
	struct control *control;
	struct signal_watch signals;
	struct forwarding forwarding;
	struct outer_notify *outer; /* whoever supervises podvisor; NULL: nobody who listens */
	struct announcer announcer;
	const char *config_path; /* NULL: run -- COMMAND */
	char shim_path[PATH_MAX], socket_path[108];
	ms_t started_at;
	int terms, exit_code;
	ms_t leave_by; /* the world has ended; until then for what it knows nothing of. 0: it has not */
};

/* ---- starting ---- */

static void spawn(struct pod *pod, const struct effect *e)
{
	workers_do(pod->workers, e);
	if (pod->config_path)
		return;
	forwarding_begin(&pod->forwarding, pod->workers);
	/* No mount is to stay busy on podvisor's account. */
	if (chdir("/") < 0)
		return;
}

/* ---- leaving ---- */

/* As long as a shim may take that does not answer, and within the budget of the whole stop. */
static ms_t find_end(const struct world *w)
{
	ms_t now = loop_now();
	return w->left_behind ? now : clock_earlier(clock_after(now, LEAVE_MS), reconcile_last_resort(w));
}

/* What checks and stop commands run is no part of the world, but not to be left behind either. */
static void leave(struct pod *pod)
{
	bool gone = checks_end(pod->checks);
	gone = stop_commands_end(pod->stop_commands) && gone;
	if (gone || clock_due(pod->leave_by, loop_now()))
		loop_stop(&pod->loop);
}

/* ---- one turn ---- */

static void carry_out(struct pod *pod, const struct effect *e)
{
	switch (e->kind) {
	case EFFECT_WORKER_SPAWN:
		spawn(pod, e);
		break;
	case EFFECT_WORKER_SIGNAL:
	case EFFECT_WORKER_KILL:
	case EFFECT_WORKER_FOLLOW:
	case EFFECT_WORKER_DEADLINE:
	case EFFECT_WORKER_ACTIVATE:
		workers_do(pod->workers, e);
		break;
	case EFFECT_WORKER_PROGRESS:
		progress_queries_do(pod->progress_queries, e);
		break;
	case EFFECT_MEMORY_MEASURE:
		pod_memory_do(pod->memory, e);
		break;
	case EFFECT_WORKER_MEASURE:
	case EFFECT_MEMORY_WEIGH:
		usage_do(pod->usage, e);
		break;
	case EFFECT_WORKER_INSPECT:
		inspections_do(pod->inspections, e);
		break;
	case EFFECT_WORKER_STOP_COMMAND:
		stop_commands_do(pod->stop_commands, e);
		break;
	case EFFECT_WORKER_CHECK:
		checks_do(pod->checks, e);
		break;
	case EFFECT_VOLUME_PREPARE:
	case EFFECT_VOLUME_MEASURE:
	case EFFECT_VOLUME_PURGE:
	case EFFECT_VOLUME_CANCEL:
	case EFFECT_VOLUME_RELEASE:
		volumes_do(pod->volumes, e);
		break;
	case EFFECT_POSTGRES_CLOSE:
		progress_queries_close(pod->progress_queries, e->slot);
		databases_do(pod->databases, e);
		break;
	case EFFECT_POSTGRES_CHECK:
	case EFFECT_POSTGRES_CANARY:
		databases_do(pod->databases, e);
		break;
	case EFFECT_LEASE_ASK:
	case EFFECT_LEASE_MEET:
		leases_do(pod->leases, e);
		break;
	case EFFECT_BROWSER_LAUNCH:
	case EFFECT_BROWSER_PROBE:
	case EFFECT_BROWSER_SERVE:
	case EFFECT_BROWSER_RETIRE:
	case EFFECT_BROWSER_CLOSE:
	case EFFECT_BROWSER_SIGNAL:
	case EFFECT_BROWSER_KILL:
	case EFFECT_BROWSER_CLEAN:
		browsers_do(pod->browsers, e);
		break;
	case EFFECT_GATEWAY_LISTEN:
	case EFFECT_GATEWAY_LAME_DUCK:
	case EFFECT_GATEWAY_SERVE:
	case EFFECT_GATEWAY_DRAIN:
	case EFFECT_GATEWAY_HURRY:
	case EFFECT_GATEWAY_CLOSE:
		gateways_do(pod->gateways, e);
		break;
	case EFFECT_EXIT:
		pod->exit_code = (int)e->value;
		pod->leave_by = find_end(pod->world);
		break;
	case EFFECT_KIND_COUNT:
		break;
	}
}

static void tell(void *ctx, const struct journal_entry *e)
{
	struct pod *pod = ctx;
	logs_say(pod->logs, e->level, e->thing, e->subject, "%s", e->text);
}

static void take_events(struct pod *pod, ms_t now)
{
	struct event e;
	while (loop_take(&pod->loop, &e)) {
		if (e.kind == EVENT_WORKER_EXITED)
			checks_forget(pod->checks, e.slot, e.run);
		if (e.kind == EVENT_WORKER_GONE)
			stop_commands_forget(pod->stop_commands, e.slot, e.run);
		world_apply(pod->world, &e, now);
	}
}

static void turn(void *ctx)
{
	struct pod *pod = ctx;
	ms_t now = loop_now();
	take_events(pod, now);
	reconcile(pod->world, now, loop_wall_ms(), &pod->plan);
	for (size_t i = 0; i < pod->plan.count; i++)
		carry_out(pod, &pod->plan.effects[i]);
	gateways_world_changed(pod->gateways);
	usage_turned(pod->usage);
	announcer_turned(&pod->announcer, pod->world);
	pod->meters.orphans_reaped = pod->reaper.orphans_total;
	if (pod->control)
		control_turned(pod->control);
	if (pod->leave_by)
		leave(pod);
	loop_wake_at(&pod->loop, pod->leave_by ? clock_earlier(pod->plan.wake_at, pod->leave_by) : pod->plan.wake_at);
}

/* ---- what control asks ---- */

static void take_snapshot(void *ctx, struct snapshot *out)
{
	struct pod *pod = ctx;
	*out = (struct snapshot){.world = pod->world,
		.meters = &pod->meters,
		.now = loop_now(),
		.wall_ms = loop_wall_ms(),
		.started_at = pod->started_at};
}

static void tell_lines(struct pod *pod, enum log_level level, const char *lines)
{
	for (size_t n; *lines; lines += n + (lines[n] == '\n')) {
		n = strcspn(lines, "\n");
		logs_say(pod->logs, level, THING_POD, "", "%.*s", (int)n, lines);
	}
}

static int read_again(struct pod *pod, bool dry_run, struct buf *out, struct buf *warnings, struct err *err)
{
	struct config *config = configuration_read(pod->config_path, 0, out, err);
	if (!config)
		return err->code;
	buf_put(warnings, out->data, out->len);
	tell_lines(pod, LOG_WARN, dry_run ? "" : buf_str(out));
	buf_clear(out);
	int rc = reload_preview(pod->world, config, out, err);
	if (rc == 0 && !dry_run) {
		rc = reload_apply(pod->world, config, loop_now(), err);
		if (rc == 0)
			logs_configure(pod->logs, &config->log);
		if (rc == 0)
			last_words_prepare(pod->world, loop_now());
		tell_lines(pod, LOG_INFO, rc == 0 ? buf_str(out) : "");
		loop_ask(&pod->loop);
	}
	if (rc < 0)
		buf_clear(out);
	config_release(config);
	return rc;
}

static int reload(void *ctx, bool dry_run, struct buf *out, struct buf *warnings, struct err *err)
{
	struct pod *pod = ctx;
	if (!pod->config_path)
		return err_set(err, -ENOTSUP, "there is no configuration file to read again (run -- COMMAND)");
	int rc = reload_allowed(pod->world, err);
	if (rc < 0 || dry_run)
		return rc < 0 ? rc : read_again(pod, true, out, warnings, err);
	announcer_reloading(&pod->announcer);
	rc = read_again(pod, false, out, warnings, err);
	announcer_reloaded(&pod->announcer);
	return rc;
}

/* The first mistake is in the sentence of the refusal. */
static void tell_further_mistakes(struct pod *pod, const char *mistakes)
{
	const char *second = strchr(mistakes, '\n');
	tell_lines(pod, LOG_ERROR, second ? second + 1 : "");
}

static void reload_and_tell(struct pod *pod)
{
	struct buf mistakes, warnings;
	struct err err = {0};
	buf_init(&mistakes, 64 << 10);
	buf_init(&warnings, 64 << 10);
	if (reload(pod, false, &mistakes, &warnings, &err) < 0) {
		journal_add(&pod->world->journal, loop_now(), LOG_ERROR, THING_POD, "", "reload-refused",
			"reload refused, the old configuration goes on: %s", err.text);
		tell_further_mistakes(pod, buf_str(&mistakes));
	}
	loop_ask(&pod->loop);
	buf_fini(&mistakes);
	buf_fini(&warnings);
}

static int give_logs(void *ctx, const struct logs_query *q, void (*each)(void *ctx, const struct logs_line *line),
	void *each_ctx, struct logs_answer *out)
{
	struct pod *pod = ctx;
	return logs_recent(pod->logs, q, each, each_ctx, out);
}

static void measure(void *ctx)
{
	struct pod *pod = ctx;
	pod_memory_look(pod->memory);
	usage_ask(pod->usage);
}

static void say_of_pod(void *ctx, enum log_level level, const char *text)
{
	struct pod *pod = ctx;
	journal_add(&pod->world->journal, loop_now(), level, THING_POD, "", "socket", "%s", text);
	loop_ask(&pod->loop);
}

static void post(void *ctx, const struct event *e)
{
	struct pod *pod = ctx;
	loop_post(&pod->loop, e);
}

/* ---- what the parts ask ---- */

static int open_output(void *ctx, const char *name, uint32_t slot, uint64_t run, int stream,
	const struct config_worker_log *config, struct err *err)
{
	struct pod *pod = ctx;
	return logs_open(pod->logs, name, slot, run, (enum logs_stream)stream, config, err);
}

static void say(void *ctx, enum log_level level, enum thing thing, const char *subject, const char *line, size_t n)
{
	struct pod *pod = ctx;
	logs_say(pod->logs, level, thing, subject, "%.*s", (int)n, line);
}

static void record(void *ctx, enum log_level level, enum thing thing, const char *object, size_t n)
{
	struct pod *pod = ctx;
	logs_record(pod->logs, level, thing, (struct span){object, n});
}

static void flush_records(void *ctx)
{
	struct pod *pod = ctx;
	logs_flush(pod->logs);
}

static void end_output(void *ctx, uint64_t run)
{
	struct pod *pod = ctx;
	logs_ended(pod->logs, run);
}

static const char *command_said(void *ctx, const char *name, uint64_t run)
{
	struct pod *pod = ctx;
	return logs_command_said(pod->logs, name, run);
}

/* ---- signals ---- */

static void on_signal(void *ctx, int signum)
{
	struct pod *pod = ctx;
	if (!pod->config_path) {
		forwarding_pass(&pod->forwarding, pod->workers, signum);
	} else if (signum == SIGTERM || signum == SIGINT) {
		struct event e = {.kind = EVENT_ASKED_SHUTDOWN, .count = ++pod->terms};
		snprintf(e.text, sizeof(e.text), "%s", signals_name(signum));
		loop_post(&pod->loop, &e);
	} else if (signum == SIGHUP) {
		reload_and_tell(pod);
	} else if (signum == SIGQUIT) {
		full_state_tell(pod->world, pod->logs);
	} else if (!(SILENT_SIGNALS & BIT(signum))) {
		logs_say(pod->logs, LOG_WARN, THING_POD, "", "%s means nothing to podvisor (SIGTERM ends it)",
			signals_name(signum));
	}
}

/* ---- birth and death ---- */

static int open_parts(struct pod *pod, struct err *err)
{
	int rc = workers_new(&pod->workers, &pod->context, err);
	rc = rc ? rc : checks_new(&pod->checks, &pod->context, err);
	rc = rc ? rc : volumes_new(&pod->volumes, &pod->context, err);
	rc = rc ? rc : databases_new(&pod->databases, &pod->context, err);
	rc = rc ? rc : leases_new(&pod->leases, &pod->context, err);
	rc = rc ? rc : browsers_new(&pod->browsers, &pod->context, err);
	rc = rc ? rc : gateways_new(&pod->gateways, &pod->context, err);
	rc = rc ? rc : inspections_new(&pod->inspections, &pod->context, pod->has_cgroup ? &pod->cgroup : NULL, err);
	rc = rc ? rc : stop_commands_new(&pod->stop_commands, &pod->context, err);
	rc = rc ? rc : progress_queries_new(&pod->progress_queries, &pod->context, err);
	rc = rc ? rc : pod_memory_new(&pod->memory, &pod->context, pod->has_cgroup ? &pod->cgroup : NULL, err);
	return rc ? rc : usage_new(&pod->usage, &pod->context, err);
}

/* Where the commands find podvisor. Without any place, what comes over TCP goes on: probes, metrics, API. */
static int choose_socket(struct pod *pod, const struct config_control *config, struct err *err)
{
	int rc = runtime_dir_choose(config->socket, pod->socket_path, sizeof(pod->socket_path), err);
	if (rc < 0 && !config->listen)
		return rc;
	if (rc < 0)
		journal_add(&pod->world->journal, loop_now(), LOG_WARN, THING_POD, "", "socket",
			"the commands of podvisor find no socket, and exec probes fail: %s", err->text);
	else if (strcmp(pod->socket_path, config->socket) != 0)
		journal_add(&pod->world->journal, loop_now(), LOG_WARN, THING_POD, "", "socket",
			"%s cannot be written; the control socket is %s", config->socket, pod->socket_path);
	return 0;
}

static int open_control(struct pod *pod, const struct config_control *config, struct err *err)
{
	const struct control_port port = {.ctx = pod,
		.snapshot = take_snapshot,
		.reload = reload,
		.logs = give_logs,
		.post = post,
		.say = say_of_pod,
		.measure = measure,
		.version = version_text()};
	int rc = choose_socket(pod, config, err);
	return rc < 0 ? rc
		      : control_new(&pod->control, &pod->loop, config->listen,
				pod->socket_path[0] ? pod->socket_path : NULL, &port, err);
}

/* Who started podvisor may want to know; that it cannot be told is no reason not to start. */
static void find_outer(struct pod *pod)
{
	struct err err;
	if (outer_notify_open(&pod->outer, &pod->loop, &err) < 0)
		logs_say(pod->logs, pod->config_path ? LOG_WARN : LOG_INFO, THING_POD, "", "%s", err.text);
	if (pod->config_path)
		pod->announcer.to = pod->outer;
	else
		pod->context.outer = pod->outer;
}

static int open_pod(struct pod *pod, struct config *config, struct err *err)
{
	uint64_t seed = 0;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (uint64_t)loop_wall_ms();
	int rc = process_find_shim(pod->shim_path, sizeof(pod->shim_path), err);
	rc = rc ? rc : loop_init(&pod->loop, turn, pod, err);
	if (rc < 0)
		return rc;
	/* run -- COMMAND has no work for it. */
	rc = pod->config_path ? loop_open_pool(&pod->loop, err) : 0;
	if (rc < 0)
		return rc;
	pod->loop.lag = &pod->meters.loop_lag_seconds;
	pod->started_at = loop_now();
	pod->has_cgroup = cgroup_find(&pod->cgroup, NULL, NULL, NULL) == 0;
	pod->world = world_new(config, seed, pod->started_at);
	if (!pod->world)
		return err_set(err, -ENOMEM, "out of memory");
	pod->output = (struct output){.ctx = pod,
		.open = open_output,
		.ended = end_output,
		.command_said = command_said,
		.say = say,
		.record = record,
		.flush = flush_records};
	pod->context = (struct context){.loop = &pod->loop,
		.world = pod->world,
		.meters = &pod->meters,
		.reaper = &pod->reaper,
		.output = &pod->output,
		.shim_path = pod->shim_path,
		.control_socket = pod->socket_path};
	rc = reaper_init(&pod->reaper, &pod->loop.uv, err);
	rc = rc ? rc : logs_new(&pod->logs, &pod->context, pod->config_path ? STDOUT_FILENO : STDERR_FILENO, err);
	if (rc < 0)
		return rc;
	pod->world->journal.on_entry = tell;
	pod->world->journal.ctx = pod;
	find_outer(pod);
	rc = open_parts(pod, err);
	if (rc < 0)
		return rc;
	if (!pod->config_path)
		terminal_give_up();
	signal_watch_ignore(pod->config_path ? IGNORED_SIGNALS : 0);
	signal_watch_open(
		&pod->signals, &pod->loop, pod->config_path ? SUPERVISOR_SIGNALS : SIGNAL_WATCH_ALL, on_signal, pod);
	last_words_prepare(pod->world, pod->started_at);
	return pod->config_path ? open_control(pod, &config->control, err) : 0;
}

/* False: something hangs in libuv's pool. */
static bool close_pod(struct pod *pod)
{
	bool closed = true;
	control_free(pod->control);
	gateways_free(pod->gateways);
	browsers_free(pod->browsers);
	leases_free(pod->leases);
	databases_free(pod->databases);
	usage_free(pod->usage);
	pod_memory_free(pod->memory);
	progress_queries_free(pod->progress_queries);
	stop_commands_free(pod->stop_commands);
	inspections_free(pod->inspections);
	checks_free(pod->checks);
	workers_free(pod->workers);
	volumes_free(pod->volumes);
	if (pod->world)
		pod->world->journal.on_entry = NULL;
	logs_free(pod->logs);
	outer_notify_close(pod->outer);
	signal_watch_close(&pod->signals);
	if (pod->reaper.poll.loop)
		reaper_fini(&pod->reaper);
	if (pod->loop.turn)
		closed = loop_fini(&pod->loop);
	plan_fini(&pod->plan);
	world_free(pod->world);
	return closed;
}

/* Somebody started podvisor twice: the one that lives has the last word about the pod. */
static bool another_lives(const struct pod *pod, const struct config *config, int error)
{
	const char *path = pod->socket_path[0] ? pod->socket_path : config->control.socket;
	return error == -EADDRINUSE && pod->config_path && listener_answers(path);
}

/* warnings: what the reading of the configuration had to say. */
static int supervise(const char *config_path, struct config *config, const char *warnings)
{
	struct pod *pod = calloc(1, sizeof(*pod));
	struct err err = {0};
	if (!pod) {
		fputs("podvisor: out of memory\n", stderr);
		return EXIT_DEFECT;
	}
	pod->config_path = config_path;
	plan_init(&pod->plan);
	int rc = open_pod(pod, config, &err);
	int code = EXIT_NEVER_STARTED;
	if (rc < 0) {
		fprintf(stderr, "podvisor: %s\n", err.text);
		if (!another_lives(pod, config, rc))
			last_words_of_a_start(config->shutdown.termination_log, err.text);
	} else {
		tell_lines(pod, LOG_WARN, warnings);
		loop_ask(&pod->loop);
		loop_run(&pod->loop);
		logs_finish(pod->logs);
		last_words_write(pod->world, pod->logs);
		code = pod->exit_code;
	}
	/* An orderly exit would wait for what hangs in a thread. */
	if (!close_pod(pod))
		_exit(code);
	free(pod);
	return code;
}

static struct config *read_config(const char *path, struct buf *lines)
{
	struct err err = {0};
	struct config *config = configuration_read(path, CONFIGURATION_PATIENCE_MS, lines, &err);
	if (config)
		return config;
	if (lines->len)
		fputs(buf_str(lines), stderr);
	else
		fprintf(stderr, "podvisor: %s\n", err.text);
	last_words_of_a_start(TERMINATION_KUBERNETES, lines->len ? buf_str(lines) : err.text);
	return NULL;
}

static int code_of_no_start(const struct cli_run *wanted)
{
	return wanted->command               ? EXIT_DEFECT
	       : signal_watch_holds(SIGTERM) ? 128 + SIGTERM
	       : signal_watch_holds(SIGINT)  ? 128 + SIGINT
					     : EXIT_NEVER_STARTED;
}

static int run(const struct cli_run *wanted)
{
	struct buf lines;
	buf_init(&lines, 256 << 10);
	struct config *config =
		wanted->command ? config_for_command(wanted->command) : read_config(wanted->config, &lines);
	if (!config && wanted->command)
		fputs("podvisor: out of memory\n", stderr);
	int code = config ? supervise(wanted->config, config, buf_str(&lines)) : code_of_no_start(wanted);
	config_release(config);
	buf_fini(&lines);
	return code;
}

/* Started without one of them, podvisor would take the first file it opens for its stdout. */
static void open_missing_stdio(void)
{
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void end_at_once(const char *why)
{
	dprintf(STDERR_FILENO, "podvisor: %s\n", why);
	last_words_of_a_panic(why);
	_exit(EXIT_DEFECT);
}

int main(int argc, char **argv)
{
	bool runs = argc > 1 && strcmp(argv[1], "run") == 0;
	if (runs)
		signal_watch_hold();
	panic_handler = end_at_once;
	open_missing_stdio();
	return cli_main(argc, argv, run);
}
