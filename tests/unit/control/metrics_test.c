#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "podvisor/control/metrics.h"

static struct config config;
static struct config_worker api = {.name = (char *)(uintptr_t) "api"};
static struct config_postgres main_db = {.name = (char *)(uintptr_t) "main"};
static struct config_route route = {.path = (char *)(uintptr_t) "/"};
static struct worker workers[2]; /* and a slot that nobody has */
static struct database database;
static struct usage_meter usage[1];
static struct meters meters;
static struct world world;
static struct self_usage self;
static struct snapshot now;
static struct buf out;

static int set_up(void **state)
{
	(void)state;
	config = (struct config){0};
	workers[0] = (struct worker){.config = &api, .name = "api", .state = WORKER_READY, .run = 1, .started_at = 250};
	workers[1] = (struct worker){0};
	database = (struct database){.config = &main_db, .state = DATABASE_UP, .lag_ms = -1, .max_connections = 100};
	meters = (struct meters){.memory = {-1, -1, -1, -1, -1, -1}};
	world = (struct world){
		.config = &config, .workers = workers, .n_workers = 2, .databases = &database, .n_databases = 1};
	self = (struct self_usage){.cpu_seconds = 0.25, .open_fds = 12, .max_fds = -1};
	now = (struct snapshot){.world = &world, .meters = &meters, .now = 1000, .wall_ms = 1700000001000};
	buf_init(&out, 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_fini(&out);
	return 0;
}

static void scrape(void)
{
	buf_clear(&out);
	metrics_write(&now, &self, "9.8", OPENMETRICS_PROMETHEUS, &out);
	assert_int_equal(out.failed, 0);
}

static void has(const char *line)
{
	if (!strstr(buf_str(&out), line))
		fail_msg("\"%s\" is missing in:\n%s", line, buf_str(&out));
}

static void lacks(const char *text)
{
	if (strstr(buf_str(&out), text))
		fail_msg("\"%s\" is there in:\n%s", text, buf_str(&out));
}

static void a_worker_shows_its_state_and_its_counters(void **state)
{
	(void)state;
	workers[0].restarts[CAUSE_LIVENESS] = 3;
	workers[0].exits_signaled = 4;
	scrape();
	has("\npodvisor_worker_state{worker=\"api\",state=\"ready\"} 1\n");
	has("\npodvisor_worker_state{worker=\"api\",state=\"backoff\"} 0\n");
	has("\npodvisor_worker_ready{worker=\"api\"} 1\n");
	has("\npodvisor_worker_restarts_total{worker=\"api\",reason=\"liveness\"} 3\n");
	has("\npodvisor_worker_exits_total{worker=\"api\",status=\"signaled\"} 4\n");
	has("\npodvisor_worker_start_time_seconds{worker=\"api\"} 1700000000.25\n");
	lacks("podvisor_worker_state{worker=\"\"");
}

static void a_job_shows_when_it_is_due_and_what_it_missed(void **state)
{
	(void)state;
	static struct config_worker report = {.name = (char *)(uintptr_t) "report", .kind = WORKER_JOB};
	scrape();
	lacks("podvisor_worker_next_run_timestamp_seconds");
	lacks("podvisor_worker_missed_runs");
	workers[0] = (struct worker){.config = &report, .name = "report", .state = WORKER_WAITING};
	scrape();
	lacks("podvisor_worker_next_run_timestamp_seconds");
	workers[0].schedule = (struct schedule){.armed = true,
		.next_ms = 1700000060000,
		.missed = {[MISSED_OVERLAP] = 2, [MISSED_LATE] = 1},
		.succeeded_at = 500};
	scrape();
	has("\npodvisor_worker_next_run_timestamp_seconds{worker=\"report\"} 1700000060\n");
	has("\npodvisor_worker_missed_runs_total{worker=\"report\",reason=\"overlap\"} 2\n");
	has("\npodvisor_worker_missed_runs_total{worker=\"report\",reason=\"waiting\"} 0\n");
	has("\npodvisor_worker_missed_runs_total{worker=\"report\",reason=\"late\"} 1\n");
	has("\npodvisor_worker_last_success_timestamp_seconds{worker=\"report\"} 1700000000.5\n");
}

static void log_lines_are_those_of_the_worker_that_has_the_slot(void **state)
{
	(void)state;
	struct log_meter log = {.worker = "api", .lines = {7, 2}};
	scrape();
	has("\npodvisor_worker_log_lines_total{worker=\"api\",stream=\"stdout\"} 0\n");
	meters.logs = &log;
	meters.n_logs = 1;
	scrape();
	has("\npodvisor_worker_log_lines_total{worker=\"api\",stream=\"stdout\"} 7\n");
	has("\npodvisor_worker_log_lines_total{worker=\"api\",stream=\"stderr\"} 2\n");
	snprintf(log.worker, sizeof(log.worker), "before");
	scrape();
	has("\npodvisor_worker_log_lines_total{worker=\"api\",stream=\"stdout\"} 0\n");
	lacks("\"before\"");
}

static void dropped_lines_tell_why(void **state)
{
	(void)state;
	struct log_meter log = {.worker = "api", .dropped = 5};
	meters.logs = &log;
	meters.n_logs = 1;
	meters.log_dropped_lines = 3;
	scrape();
	/* The labels of a family are the same on every sample; an empty one is none to Prometheus. */
	has("\npodvisor_worker_log_dropped_lines_total{worker=\"\",reason=\"stdout\"} 3\n");
	lacks("reason=\"rate\"");
	struct config_worker limited = api;
	limited.log.rate = 10;
	workers[0].config = &limited;
	scrape();
	has("\npodvisor_worker_log_dropped_lines_total{worker=\"api\",reason=\"rate\"} 5\n");
}

static void what_is_not_known_has_no_sample_and_no_family(void **state)
{
	(void)state;
	scrape();
	lacks("podvisor_worker_memory_bytes");
	lacks("podvisor_memory_limit_bytes");
	lacks("podvisor_browser");
	lacks("podvisor_volume");
	lacks("podvisor_gateway");
	lacks("podvisor_postgres_replication_lag_seconds");
	lacks("process_max_fds");
	has("\nprocess_open_fds 12\n");
	has("\nprocess_cpu_seconds_total 0.25\n");
}

static void use_of_disks_and_memory_and_what_was_done_for_room_is_shown(void **state)
{
	(void)state;
	struct config_volume tmp = {.name = (char *)(uintptr_t) "tmp"};
	struct volume volume = {.config = &tmp,
		.state = VOLUME_READY,
		.size_bytes = 1000,
		.used_bytes = 900,
		.size_inodes = 50,
		.used_inodes = 7,
		.purged_bytes = 300,
		.purged_files = 4,
		.fulls = 1};
	world.volumes = &volume;
	world.n_volumes = 1;
	world.guard.actions[MEMORY_RECYCLE] = 2;
	meters.memory = (struct event_memory){.limit_bytes = 4000,
		.used_bytes = 3000,
		.charged_bytes = 3500,
		.limit_hits = 5,
		.oom_kills = 1,
		.pressure_ratio = 0.25};
	scrape();
	has("\npodvisor_volume_size_bytes{volume=\"tmp\"} 1000\n");
	has("\npodvisor_volume_used_bytes{volume=\"tmp\"} 900\n");
	has("\npodvisor_volume_size_inodes{volume=\"tmp\"} 50\n");
	has("\npodvisor_volume_used_inodes{volume=\"tmp\"} 7\n");
	has("\npodvisor_volume_purged_bytes_total{volume=\"tmp\"} 300\n");
	has("\npodvisor_volume_purged_files_total{volume=\"tmp\"} 4\n");
	has("\npodvisor_volume_fulls_total{volume=\"tmp\"} 1\n");
	has("\npodvisor_memory_limit_bytes 4000\n");
	has("\npodvisor_memory_used_bytes 3000\n");
	has("\npodvisor_memory_charged_bytes 3500\n");
	has("\npodvisor_memory_pressure_ratio 0.25\n");
	has("\npodvisor_memory_limit_hits_total 5\n");
	has("\npodvisor_memory_oom_kills_total 1\n");
	has("\npodvisor_memory_actions_total{action=\"purge\"} 0\n");
	has("\npodvisor_memory_actions_total{action=\"recycle\"} 2\n");
}

static void what_was_measured_is_shown_also_when_it_is_zero(void **state)
{
	(void)state;
	usage[0] = (struct usage_meter){.memory_bytes = 0, .open_fds = 0, .cpu_seconds = 1.5};
	meters.usage = usage;
	meters.n_usage = 1;
	scrape();
	has("\npodvisor_worker_memory_bytes{worker=\"api\"} 0\n");
	has("\npodvisor_worker_cpu_seconds_total{worker=\"api\"} 1.5\n");
	usage[0].memory_bytes = -1;
	scrape();
	lacks("podvisor_worker_memory_bytes");
}

static void a_database_that_does_not_answer_shows_nothing_stale(void **state)
{
	(void)state;
	database.failures_by_class[53] = 2;
	database.checks[DATABASE_CANARY][DATABASE_FAILED] = 7;
	scrape();
	has("\npodvisor_postgres_up{database=\"main\"} 1\n");
	has("\npodvisor_postgres_max_connections{database=\"main\"} 100\n");
	has("\npodvisor_postgres_failures_total{database=\"main\",sqlstate_class=\"53\"} 2\n");
	has("\npodvisor_postgres_checks_total{database=\"main\",kind=\"canary\",result=\"failed\"} 7\n");
	database.state = DATABASE_DOWN;
	scrape();
	has("\npodvisor_postgres_up{database=\"main\"} 0\n");
	has("\npodvisor_postgres_state{database=\"main\",state=\"down\"} 1\n");
	lacks("podvisor_postgres_max_connections");
}

static void a_lease_shows_who_it_is_for_how_long_and_how_it_went(void **state)
{
	(void)state;
	struct lease_entry entry = {.name = "indexer", .settings = {.ttl = 15000, .drain_at = 9000, .kill_at = 12000}};
	struct lease_entry *entries[] = {&entry};
	entry.lease = (struct lease){.settings = &entry.settings,
		.state = LEASE_HELD,
		.token = 5,
		.timeline = 2,
		.sent_at = 500,
		.renewals = {7, 1},
		.kills = 3};
	entry.lease.moves[LEASE_GRANTED] = 2;
	scrape();
	lacks("podvisor_lease");
	world.leases.entries = entries;
	world.leases.n = 1;
	world.leases.members.n = 2;
	scrape();
	has("\npodvisor_lease_held{lease=\"indexer\"} 1\n");
	has("\npodvisor_lease_token{lease=\"indexer\"} 2199023255557\n");
	has("\npodvisor_lease_deadline_seconds{lease=\"indexer\"} 11.5\n");
	has("\npodvisor_lease_renewals_total{lease=\"indexer\",result=\"failed\"} 1\n");
	has("\npodvisor_lease_transitions_total{lease=\"indexer\",reason=\"granted\"} 2\n");
	has("\npodvisor_lease_fence_kills_total 3\n");
	has("\npodvisor_lease_members 2\n");
	has("\npodvisor_lease_handover_seconds_count 0\n");
	entry.lease.state = LEASE_STANDBY;
	scrape();
	has("\npodvisor_lease_held{lease=\"indexer\"} 0\n");
	lacks("podvisor_lease_deadline_seconds{");
}

static void the_gateway_counts_by_route_and_class(void **state)
{
	(void)state;
	config.gateway = (struct config_gateway){.present = true, .routes = &route, .n_routes = 1};
	meters.gateway.requests[0][2] = 11;
	meters.gateway.drained[GATEWAY_UNCLEAN] = 5;
	meters.gateway.websocket = 3;
	scrape();
	has("\npodvisor_gateway_requests_total{route=\"/\",code=\"2xx\"} 11\n");
	has("\npodvisor_gateway_connections{kind=\"websocket\"} 3\n");
	has("\npodvisor_drain_websockets_closed_total{result=\"unclean_mid_frame\"} 5\n");
	lacks("podvisor_drain_connections");
	world.drain.state = DRAIN_LAME_DUCK;
	scrape();
	has("\npodvisor_drain_connections{kind=\"websocket\"} 3\n");
	has("\npodvisor_drain_state{state=\"lame-duck\"} 1\n");
}

static void every_family_stands_once_and_has_help(void **state)
{
	(void)state;
	config.gateway = (struct config_gateway){.present = true, .routes = &route, .n_routes = 1};
	scrape();
	int families = 0;
	for (const char *at = buf_str(&out); (at = strstr(at, "# TYPE ")); at++) {
		char name[128], again[160];
		assert_int_equal(sscanf(at, "# TYPE %127s", name), 1);
		families++;
		snprintf(again, sizeof(again), "# TYPE %s ", name);
		assert_null(strstr(at + 1, again));
		snprintf(again, sizeof(again), "# HELP %s ", name);
		has(again);
	}
	assert_true(families > 30);
	has("podvisor_build_info{version=\"9.8\"} 1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_worker_shows_its_state_and_its_counters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_job_shows_when_it_is_due_and_what_it_missed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(log_lines_are_those_of_the_worker_that_has_the_slot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(dropped_lines_tell_why, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_not_known_has_no_sample_and_no_family, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			use_of_disks_and_memory_and_what_was_done_for_room_is_shown, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_was_measured_is_shown_also_when_it_is_zero, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_database_that_does_not_answer_shows_nothing_stale, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_lease_shows_who_it_is_for_how_long_and_how_it_went, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_gateway_counts_by_route_and_class, set_up, tear_down),
		cmocka_unit_test_setup_teardown(every_family_stands_once_and_has_help, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
