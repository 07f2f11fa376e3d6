#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "podvisor/io/loop.h"
#include "podvisor/model/world.h"
#include "podvisor/runtime/databases.h"

#define DEADLINE_MS 60000
#define BIN         "/usr/lib/postgresql/15/bin/"
#define SECRET      "hush-a-very-secret-password"

/* ---- a cluster of our own ---- */

static struct {
	char dir[64], data[96];
	int port;
	pid_t postmaster;
	uid_t uid;
	gid_t gid;
} cluster;

static int free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	close(fd);
	return ntohs(address.sin_port);
}

/* As user postgres when we are root, which PostgreSQL refuses to be run by. */
static pid_t start(char *const argv[])
{
	pid_t parent = getpid(), pid = fork();
	if (pid != 0)
		return pid;
	int log = open("/dev/null", O_RDWR);
	dup2(log, 0);
	dup2(log, 1);
	if (!getenv("VERBOSE"))
		dup2(log, 2);
	if (getuid() == 0 && (setgroups(0, NULL) < 0 || setgid(cluster.gid) < 0 || setuid(cluster.uid) < 0))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (getppid() != parent)
		_exit(125);
	execv(argv[0], argv);
	_exit(127);
}

static void pause_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&ts, NULL);
}

static PGconn *connect_as(const char *user)
{
	char dsn[256];
	snprintf(dsn, sizeof(dsn), "host=%s port=%d user=%s dbname=postgres application_name=test", cluster.dir,
		cluster.port, user);
	return PQconnectdb(dsn);
}

/* One value, as the superuser; "" for none. */
static const char *sql(const char *text)
{
	static char value[256];
	PGconn *conn = connect_as("boss");
	PGresult *result = PQexec(conn, text);
	ExecStatusType status = PQresultStatus(result);
	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		fail_msg("%s: %s", text, PQerrorMessage(conn));
	snprintf(value, sizeof(value), "%s",
		PQntuples(result) && !PQgetisnull(result, 0, 0) ? PQgetvalue(result, 0, 0) : "");
	PQclear(result);
	PQfinish(conn);
	return value;
}

static void put_file(const char *name, const char *text, const char *mode)
{
	char path[160];
	snprintf(path, sizeof(path), "%s/%s", cluster.data, name);
	FILE *f = fopen(path, mode);
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	if (getuid() == 0)
		assert_int_equal(chown(path, cluster.uid, cluster.gid), 0);
}

/* Again and again: after a kill the old processes hold the shared memory for a moment. */
static void start_postmaster(void)
{
	char port[16];
	char program[] = BIN "postgres", data_option[] = "-D", port_option[] = "-p";
	snprintf(port, sizeof(port), "%d", cluster.port);
	char *const argv[] = {program, data_option, cluster.data, port_option, port, NULL};
	for (int i = 0; i < 300; i++) {
		if (cluster.postmaster <= 0 || waitpid(cluster.postmaster, NULL, WNOHANG) == cluster.postmaster)
			cluster.postmaster = start(argv);
		PGconn *conn = connect_as("boss");
		bool up = PQstatus(conn) == CONNECTION_OK;
		PQfinish(conn);
		if (up)
			return;
		pause_ms(100);
	}
	fail_msg("the cluster in %s does not start", cluster.data);
}

static void stop_postmaster(int signum)
{
	if (cluster.postmaster > 0) {
		kill(cluster.postmaster, signum);
		waitpid(cluster.postmaster, NULL, 0);
	}
	cluster.postmaster = 0;
}

static int make_cluster(void **state)
{
	(void)state;
	strcpy(cluster.dir, "/tmp/podvisor-postgres-XXXXXX");
	if (!mkdtemp(cluster.dir))
		return -1;
	struct passwd *owner = getuid() == 0 ? getpwnam("postgres") : getpwuid(getuid());
	cluster.uid = owner->pw_uid;
	cluster.gid = owner->pw_gid;
	if (chown(cluster.dir, cluster.uid, cluster.gid) < 0)
		return -1;
	chmod(cluster.dir, 0755);
	snprintf(cluster.data, sizeof(cluster.data), "%s/data", cluster.dir);
	char program[] = BIN "initdb", data[] = "-D", trust[] = "-Atrust", fast[] = "-N", user[] = "-Uboss",
	     locale[] = "--locale=C";
	char *const argv[] = {program, data, cluster.data, trust, fast, user, locale, NULL};
	pid_t pid = start(argv);
	int status;
	if (waitpid(pid, &status, 0) != pid || status != 0) {
		print_error("initdb failed\n");
		return -1;
	}
	char conf[512];
	snprintf(conf, sizeof(conf),
		"listen_addresses = '127.0.0.1'\nunix_socket_directories = '%s'\nfsync = off\n"
		"dynamic_shared_memory_type = mmap\n" /* gone with its directory, however it is killed */
		"max_connections = 12\nsuperuser_reserved_connections = 4\nlogging_collector = off\n",
		cluster.dir);
	put_file("postgresql.conf", conf, "a");
	put_file("pg_hba.conf",
		"local all all trust\n"
		"host all locked 127.0.0.1/32 scram-sha-256\n"
		"host all stranger 127.0.0.1/32 reject\n"
		"host all all 127.0.0.1/32 trust\n",
		"w");
	cluster.port = free_port();
	start_postmaster();
	sql("create role app login");
	sql("create role stranger login");
	sql("create role locked login password '" SECRET "'");
	return 0;
}

static int remove_cluster(void **state)
{
	(void)state;
	stop_postmaster(SIGQUIT);
	char program[] = "/bin/rm", options[] = "-rf";
	char *const argv[] = {program, options, cluster.dir, NULL};
	waitpid(start(argv), NULL, 0);
	rmdir(cluster.dir);
	return 0;
}

/* ---- a loop with one database, its machine and its sessions ---- */

struct bench {
	struct loop loop;
	struct context context;
	struct world world;
	struct config config;
	struct config_postgres postgres;
	struct database database;
	struct databases *databases;
	struct journal journal;
	struct random random;
	struct plan plan;
	char dsn[512];
	bool wanted, late;
	bool (*done)(struct bench *);
	uv_timer_t deadline;
};

static void turn(void *ctx)
{
	struct bench *b = ctx;
	struct event e;
	struct turn t = {.now = loop_now(), .random = &b->random, .journal = &b->journal, .plan = &b->plan};
	while (loop_take(&b->loop, &e))
		database_apply(&b->database, &e, &t);
	plan_clear(&b->plan);
	database_plan(&b->database, b->wanted, &b->world.next_run, &t);
	for (size_t i = 0; i < b->plan.count; i++)
		databases_do(b->databases, &b->plan.effects[i]);
	loop_wake_at(&b->loop, b->plan.wake_at);
	if (b->done && b->done(b))
		loop_stop(&b->loop);
}

static void on_late(uv_timer_t *timer)
{
	struct bench *b = timer->data;
	b->late = true;
	loop_stop(&b->loop);
}

static void await(struct bench *b, bool (*done)(struct bench *))
{
	b->done = done;
	uv_update_time(&b->loop.uv);
	uv_timer_start(&b->deadline, on_late, DEADLINE_MS, 0);
	loop_ask(&b->loop);
	loop_run(&b->loop);
	uv_timer_stop(&b->deadline);
	b->done = NULL;
	if (b->late)
		fail_msg("waited in vain; the database is %s: %s", database_state_name(b->database.state),
			b->database.text);
}

static int set_up(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err;
	*state = b;
	b->wanted = true;
	b->world.next_run = 1;
	b->config.instance = (char *)(uintptr_t) "test";
	b->postgres = (struct config_postgres){.name = (char *)(uintptr_t) "main",
		.dsn = b->dsn,
		.interval = 50,
		.timeout = 10000,
		.canary_interval = 60000,
		.resolve_timeout = 10000,
		.failure_threshold = 3,
		.failure_time = 20000,
		.success_threshold = 2,
		.success_time = 100,
		.max_connections_used_percent = 100};
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://app@127.0.0.1:%d/postgres", cluster.port);
	b->world.config = &b->config;
	b->world.databases = &b->database;
	b->world.n_databases = 1;
	plan_init(&b->plan);
	database_init(&b->database, &b->postgres, 0, loop_now());
	if (loop_init(&b->loop, turn, b, &err) < 0)
		return -1;
	b->context = (struct context){.loop = &b->loop, .world = &b->world};
	uv_timer_init(&b->loop.uv, &b->deadline);
	b->deadline.data = b;
	return databases_new(&b->databases, &b->context, &err);
}

static int tear_down(void **state)
{
	struct bench *b = *state;
	databases_free(b->databases);
	uv_close((uv_handle_t *)&b->deadline, NULL);
	/* What is left is work in the pool and handles that close. */
	uv_unref((uv_handle_t *)&b->loop.prepare);
	uv_unref((uv_handle_t *)&b->loop.check);
	uv_timer_stop(&b->loop.wake);
	b->wanted = false;
	uv_prepare_stop(&b->loop.prepare);
	uv_check_stop(&b->loop.check);
	uv_run(&b->loop.uv, UV_RUN_DEFAULT);
	loop_fini(&b->loop);
	plan_fini(&b->plan);
	free(b);
	return 0;
}

static const struct journal_entry *told(const struct bench *b, const char *what)
{
	for (uint64_t i = journal_oldest(&b->journal); i <= b->journal.last_seq; i++) {
		const struct journal_entry *e = journal_get(&b->journal, i);
		if (e && strcmp(e->what, what) == 0)
			return e;
	}
	return NULL;
}

static bool is_up(struct bench *b)
{
	return b->database.state == DATABASE_UP;
}

static bool is_down(struct bench *b)
{
	return b->database.state == DATABASE_DOWN;
}

static bool is_degraded(struct bench *b)
{
	return b->database.state == DATABASE_DEGRADED;
}

static bool is_misconfigured(struct bench *b)
{
	return b->database.state == DATABASE_MISCONFIGURED;
}

static bool has_failed(struct bench *b)
{
	return b->database.failures > 0;
}

static bool has_reconnected(struct bench *b)
{
	return b->database.reconnects > 0;
}

static bool is_lost(struct bench *b)
{
	return told(b, "session-lost");
}

static pid_t our_backend(void)
{
	return (pid_t)atoi(sql("select pid from pg_stat_activity where application_name = 'podvisor-test'"));
}

static void assert_hidden(const struct bench *b, const char *secret)
{
	assert_null(strstr(b->database.text, secret));
	for (uint64_t i = journal_oldest(&b->journal); i <= b->journal.last_seq; i++)
		assert_null(strstr(journal_get(&b->journal, i)->text, secret));
}

/* ---- what is seen of a healthy server ---- */

static void a_running_server_is_up_and_tells_about_itself(void **state)
{
	struct bench *b = *state;
	await(b, is_up);
	assert_false(b->database.in_recovery);
	assert_false(b->database.read_only);
	assert_int_equal(b->database.timeline, 1);
	assert_int_equal(b->database.max_connections, 12);
	assert_in_range(b->database.connections, 1, 12);
	assert_int_equal(b->database.lag_ms, 0);
	assert_true(our_backend() > 0);
	print_message("longest libpq call: %lld us\n", (long long)b->database.call_max_us);
}

static bool has_checked_often(struct bench *b)
{
	return b->database.checks[DATABASE_KEPT][DATABASE_OK] >= 20;
}

static void the_session_is_kept_from_check_to_check(void **state)
{
	struct bench *b = *state;
	await(b, is_up);
	pid_t backend = our_backend();
	await(b, has_checked_often);
	assert_int_equal(our_backend(), backend);
	assert_int_equal(b->database.reconnects, 0);
	assert_int_equal(b->database.checks[DATABASE_KEPT][DATABASE_FAILED], 0);
}

static bool has_sent_a_canary(struct bench *b)
{
	return b->database.checks[DATABASE_CANARY][DATABASE_OK] > 0;
}

static void a_canary_opens_a_session_of_its_own_and_closes_it(void **state)
{
	struct bench *b = *state;
	b->postgres.canary_interval = 100;
	await(b, has_sent_a_canary);
	b->postgres.canary_interval = 60000;
	b->database.canary_due = CLOCK_NEVER;
	assert_int_equal(b->database.state, DATABASE_UP);
	/* Its backend goes when it has read the end; ours stays. */
	for (int i = 0; i < 300; i++) {
		if (atoi(sql("select count(*) from pg_stat_activity where application_name = 'podvisor-test'")) == 1)
			return;
		pause_ms(20);
	}
	fail_msg("the canary's session is still there");
}

static bool is_closed(struct bench *b)
{
	return database_is_closed(&b->database);
}

static void what_is_not_wanted_any_more_is_closed(void **state)
{
	struct bench *b = *state;
	await(b, is_up);
	b->wanted = false;
	await(b, is_closed);
	for (int i = 0; i < 300 && our_backend(); i++)
		pause_ms(20);
	assert_int_equal(our_backend(), 0);
}

/* ---- losses ---- */

static void a_killed_backend_is_a_new_session_and_no_outage(void **state)
{
	struct bench *b = *state;
	b->postgres.interval = 600000; /* a check under way would be told instead of the session */
	b->postgres.failure_time = 60000; /* all the others end with it, and the server recovers */
	await(b, is_up);
	kill(our_backend(), SIGKILL);
	await(b, has_reconnected);
	assert_int_equal(b->database.state, DATABASE_UP);
	assert_non_null(told(b, "session-lost"));
	assert_null(told(b, "down"));
}

static void an_administrators_end_of_the_session_is_told_as_such(void **state)
{
	struct bench *b = *state;
	b->postgres.interval = 600000;
	await(b, is_up);
	sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'podvisor-test'");
	await(b, is_lost);
	assert_non_null(strstr(told(b, "session-lost")->text, "an administrator ended it"));
	assert_string_equal(b->database.sqlstate, "57P01");
	await(b, has_reconnected);
}

static void a_killed_postmaster_is_noticed_between_checks_and_the_database_is_down_then_up_again(void **state)
{
	struct bench *b = *state;
	b->postgres.interval = 600000; /* no check would notice */
	b->postgres.failure_time = 300;
	await(b, is_up);
	stop_postmaster(SIGKILL);
	await(b, is_lost);
	assert_int_equal(b->database.state, DATABASE_UP);
	await(b, is_down);
	assert_int_equal(b->database.reason, POSTGRES_REASON_UNREACHABLE);
	assert_true(b->database.failures >= 3);
	start_postmaster();
	await(b, is_up);
	assert_int_equal(b->database.reconnects, 1);
	assert_true(b->database.successes >= 2);
}

static void a_stopped_backend_is_hung_and_a_fresh_session_takes_its_place(void **state)
{
	struct bench *b = *state;
	await(b, is_up);
	b->postgres.timeout = 500;
	pid_t backend = our_backend();
	kill(backend, SIGSTOP);
	await(b, has_failed);
	assert_string_equal(told(b, "check-failed")->text, "hung: no answer within 500 ms");
	b->postgres.timeout = 10000;
	await(b, has_reconnected);
	assert_int_equal(b->database.state, DATABASE_UP);
	kill(backend, SIGCONT);
}

/* ---- what refuses ---- */

static void a_wrong_password_is_misconfigured_and_never_shown(void **state)
{
	struct bench *b = *state;
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://locked:not-" SECRET "@127.0.0.1:%d/postgres", cluster.port);
	await(b, is_misconfigured);
	assert_int_equal(b->database.reason, POSTGRES_REASON_UNAUTHORIZED);
	assert_string_equal(b->database.sqlstate, "28P01");
	assert_non_null(strstr(b->database.text, "password authentication failed for user \"locked\""));
	assert_hidden(b, SECRET);
}

static void the_right_password_is_up(void **state)
{
	struct bench *b = *state;
	snprintf(b->dsn, sizeof(b->dsn), "host=127.0.0.1 port=%d user=locked password=" SECRET " dbname=postgres",
		cluster.port);
	await(b, is_up);
	assert_hidden(b, SECRET);
}

static void a_user_who_is_not_let_in_is_misconfigured(void **state)
{
	struct bench *b = *state;
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://stranger@127.0.0.1:%d/postgres", cluster.port);
	await(b, is_misconfigured);
	assert_int_equal(b->database.reason, POSTGRES_REASON_UNAUTHORIZED);
	assert_string_equal(b->database.sqlstate, "28000");
}

static void a_missing_database_is_misconfigured(void **state)
{
	struct bench *b = *state;
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://app@127.0.0.1:%d/nowhere", cluster.port);
	await(b, is_misconfigured);
	assert_int_equal(b->database.reason, POSTGRES_REASON_NO_DATABASE);
	assert_string_equal(b->database.sqlstate, "3D000");
}

static void a_server_without_tls_is_misconfigured_when_tls_is_required(void **state)
{
	struct bench *b = *state;
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://app@127.0.0.1:%d/postgres?sslmode=require", cluster.port);
	await(b, is_misconfigured);
	assert_int_equal(b->database.reason, POSTGRES_REASON_TLS);
}

static void exhausted_slots_are_degraded_while_the_kept_session_works(void **state)
{
	struct bench *b = *state;
	PGconn *held[16];
	int n = 0;
	await(b, is_up);
	while (n < 16) {
		held[n] = connect_as("app");
		if (PQstatus(held[n++]) != CONNECTION_OK)
			break;
	}
	b->database.canary_due = loop_now();
	await(b, is_degraded);
	assert_int_equal(b->database.reason, POSTGRES_REASON_REFUSING);
	assert_true(b->database.failures_by_class[53] > 0);
	assert_true(database_is_available(&b->database));
	while (n > 0)
		PQfinish(held[--n]);
	await(b, is_up);
}

/* ---- what cannot be reached ---- */

static void a_refused_connection_is_unknown_until_it_was_up(void **state)
{
	struct bench *b = *state;
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://app@127.0.0.1:%d/postgres", free_port());
	await(b, has_failed);
	assert_int_equal(b->database.state, DATABASE_UNKNOWN);
	assert_int_equal(b->database.reason, POSTGRES_REASON_UNREACHABLE);
	assert_non_null(strstr(b->database.text, "Connection refused"));
}

/* Its backlog takes the connections, and nobody ever speaks. */
static int silent_server(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static void a_silent_server_is_hung(void **state)
{
	struct bench *b = *state;
	int port, fd = silent_server(&port);
	b->postgres.timeout = 200;
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://app@127.0.0.1:%d/postgres", port);
	await(b, has_failed);
	assert_int_equal(b->database.reason, POSTGRES_REASON_HUNG);
	assert_non_null(strstr(b->database.text, "accepts connections but does not answer"));
	close(fd);
}

static void a_silent_host_and_a_dead_one_do_not_hide_a_good_one(void **state)
{
	struct bench *b = *state;
	int port, fd = silent_server(&port);
	b->postgres.timeout = 3000;
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://app@127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/postgres", port,
		free_port(), cluster.port);
	await(b, is_up);
	assert_int_equal(b->database.checks[DATABASE_KEPT][DATABASE_FAILED], 0);
	close(fd);
}

static void a_name_that_cannot_be_resolved_is_unreachable(void **state)
{
	struct bench *b = *state;
	b->postgres.resolve_timeout = 1000;
	snprintf(b->dsn, sizeof(b->dsn), "postgresql://app@nobody.invalid:5432/postgres");
	await(b, has_failed);
	assert_int_equal(b->database.reason, POSTGRES_REASON_UNREACHABLE);
	assert_non_null(strstr(b->database.text, "\"nobody.invalid\" cannot be resolved"));
}

/* ---- dsn ---- */

static void every_way_to_name_the_server_works(void **state)
{
	struct bench *b = *state;
	char file[160], service[256];
	snprintf(file, sizeof(file), "%s/service.conf", cluster.data);
	snprintf(service, sizeof(service), "[here]\nhost=%s\nport=%d\nuser=app\ndbname=postgres\n", cluster.dir,
		cluster.port);
	put_file("service.conf", service, "w");
	setenv("PGSERVICEFILE", file, 1);
	char forms[3][256] = {"", "", "service=here"};
	snprintf(forms[0], sizeof(forms[0]), "postgresql://app@localhost:%d/postgres", cluster.port);
	snprintf(forms[1], sizeof(forms[1]), "host=%s port=%d user=app dbname=postgres", cluster.dir, cluster.port);
	for (int i = 0; i < 3; i++) {
		strcpy(b->dsn, forms[i]);
		database_init(&b->database, &b->postgres, 0, loop_now());
		await(b, is_up);
		b->wanted = false;
		await(b, is_closed);
		b->wanted = true;
	}
	unsetenv("PGSERVICEFILE");
}

static void a_dsn_that_is_misread_does_not_show_its_password(void **state)
{
	struct bench *b = *state;
	static const char *const dsns[] = {
		"postgresql://app:p@" SECRET "@127.0.0.1/postgres",
		"postgresql://app:" SECRET "/x@127.0.0.1/postgres",
		"host=127.0.0.1 " SECRET,
		"postgresql://app:%zz" SECRET "@127.0.0.1/postgres",
		"host=a,b hostaddr=127.0.0.1 password=" SECRET,
	};
	for (size_t i = 0; i < sizeof(dsns) / sizeof(dsns[0]); i++) {
		strcpy(b->dsn, dsns[i]);
		database_init(&b->database, &b->postgres, 0, loop_now());
		await(b, is_misconfigured);
		assert_hidden(b, SECRET);
		assert_true(strlen(b->database.text) > 10);
	}
}

/* ---- roles of the server ---- */

static void a_server_that_turns_read_only_is_degraded_and_back(void **state)
{
	struct bench *b = *state;
	await(b, is_up);
	sql("alter system set default_transaction_read_only = on");
	sql("select pg_reload_conf()");
	await(b, is_degraded);
	assert_int_equal(b->database.reason, POSTGRES_REASON_READ_ONLY);
	assert_int_equal(b->database.reconnects, 0);
	PGconn *conn = connect_as("boss");
	PQclear(PQexec(conn, "set default_transaction_read_only = off"));
	PQclear(PQexec(conn, "alter system reset default_transaction_read_only"));
	PQclear(PQexec(conn, "select pg_reload_conf()"));
	PQfinish(conn);
	await(b, is_up);
}

static void a_standby_is_degraded_until_it_is_promoted_to_a_new_timeline(void **state)
{
	struct bench *b = *state;
	stop_postmaster(SIGINT);
	put_file("standby.signal", "", "w");
	start_postmaster();
	await(b, is_degraded);
	assert_int_equal(b->database.reason, POSTGRES_REASON_RECOVERING);
	assert_true(b->database.in_recovery);
	assert_int_equal(b->database.timeline, 1);
	sql("select pg_promote()");
	await(b, is_up);
	assert_false(b->database.in_recovery);
	assert_int_equal(b->database.timeline, 2);
	assert_int_equal(b->database.reconnects, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(a_running_server_is_up_and_tells_about_itself),
		TEST(the_session_is_kept_from_check_to_check),
		TEST(a_canary_opens_a_session_of_its_own_and_closes_it),
		TEST(what_is_not_wanted_any_more_is_closed),
		TEST(a_killed_backend_is_a_new_session_and_no_outage),
		TEST(an_administrators_end_of_the_session_is_told_as_such),
		TEST(a_killed_postmaster_is_noticed_between_checks_and_the_database_is_down_then_up_again),
		TEST(a_stopped_backend_is_hung_and_a_fresh_session_takes_its_place),
		TEST(a_wrong_password_is_misconfigured_and_never_shown),
		TEST(the_right_password_is_up),
		TEST(a_user_who_is_not_let_in_is_misconfigured),
		TEST(a_missing_database_is_misconfigured),
		TEST(a_server_without_tls_is_misconfigured_when_tls_is_required),
		TEST(exhausted_slots_are_degraded_while_the_kept_session_works),
		TEST(a_refused_connection_is_unknown_until_it_was_up),
		TEST(a_silent_server_is_hung),
		TEST(a_silent_host_and_a_dead_one_do_not_hide_a_good_one),
		TEST(a_name_that_cannot_be_resolved_is_unreachable),
		TEST(every_way_to_name_the_server_works),
		TEST(a_dsn_that_is_misread_does_not_show_its_password),
		TEST(a_server_that_turns_read_only_is_degraded_and_back),
		TEST(a_standby_is_degraded_until_it_is_promoted_to_a_new_timeline),
	};
	return cmocka_run_group_tests_name("postgres", tests, make_cluster, remove_cluster);
}
