/* The configurations: one stack of every kind of part, and others that a reload
 * exchanges it for, with workers added, removed and changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define AROUND                                                                                                  \
	"\"shutdown\": { \"deadline\": \"55s\" },"                                                              \
	"\"volumes\": { \"tmp\": { \"path\": \"/v\", \"size\": \"1Mi\", \"mount\": \"any\","                    \
	" \"purge\": [\"**\"], \"on_full\": [\"api\", \"browser:chrome\"] } },"                                 \
	"\"postgres\": { \"main\": { \"dsn\": \"host=db\" } },"                                                 \
	"\"browsers\": { \"chrome\": { \"volume\": \"tmp\", \"executable\": \"/c\", \"drain\": \"20s\","        \
	"  \"recycle\": { \"age\": \"60s\", \"per_hour\": 30 } } },"                                            \
	"\"gateway\": { \"listen\": \"127.0.0.1:8080\", \"routes\": [ { \"path\": \"/\", \"worker\": \"api\", " \
	"\"to\": \"127.0.0.1:1\" } ] }"

#define OFTEN "\"restart\": { \"limit\": { \"count\": 60, \"window\": \"10s\" } }"

/* One worker, or another version of it. */
enum line {
	END,
	DB,
	MIGRATE,
	MIGRATE_TWICE,
	API,
	API_BY_NOTIFICATION,
	CACHE,
	CACHE_ALONE,
	LEFT,
	RIGHT,
	RIGHT_OTHER,
	INDEXER,
	INDEXER_PATIENT,
	VALUATION_3,
	VALUATION_5,
	VALUATION_1,
	TELLER,
	TELLER_FREE,
	CRASHER,
	CRASHER_SLOW,
	ONCE,
	PACER,
	PACER_HASTY,
	REPORT,
	REPORT_RARE,
	AUDIT,
	AUDIT_LATER,
	SYNC,
	SYNC_OFTEN,
	ENUM_LINES
};

static const char *const lines[ENUM_LINES] = {
	[DB] = "\"db\": { \"command\": [\"db\"], \"stop\": { \"phase\": \"after-drain\" } }",
	[MIGRATE] = "\"migrate\": { \"command\": [\"m\"], \"kind\": \"task\","
		    "  \"depends_on\": [\"postgres:main\", \"db\"] }",
	[MIGRATE_TWICE] = "\"migrate\": { \"command\": [\"m2\"], \"kind\": \"task\", \"depends_on\": [\"db\"] }",
	[API] = "\"api\": { \"command\": [\"api\"], \"depends_on\": [\"migrate\", \"db\"], \"critical\": true,"
		"  \"readiness\": { \"http\": \"http://127.0.0.1:1/\", \"interval\": \"1s\" },"
		"  \"liveness\": { \"tcp\": \"127.0.0.1:1\", \"interval\": \"2s\" }, " OFTEN ","
		"  \"stop\": { \"phase\": \"after-drain\", \"timeout\": \"5s\", \"command\": [\"quit\"] } }",
	[API_BY_NOTIFICATION] =
		"\"api\": { \"command\": [\"api\"], \"depends_on\": [\"migrate\", \"cache\"], \"critical\": true,"
		"  \"readiness\": { \"notify\": true }, " OFTEN ", \"stop\": { \"phase\": \"after-drain\" } }",
	[CACHE] = "\"cache\": { \"command\": [\"c\"], \"restart_with\": [\"api\", \"browser:chrome\"],"
		  "  \"liveness\": { \"notify\": true, \"timeout\": \"6s\" }, \"limits\": { \"memory\": \"1Gi\" },"
		  "  \"progress\": { \"postgres\": \"main\", \"sql\": \"s\", \"stalled_after\": \"20s\","
		  "    \"interval\": \"2s\" }, " OFTEN " }",
	[CACHE_ALONE] = "\"cache\": { \"command\": [\"c\"], " OFTEN " }",
	[LEFT] = "\"left\": { \"command\": [\"l\"], \"restart_with\": [\"right\"], \"depends_on\": [\"db\"],"
		 "  \"on_dependency_loss\": \"pause\", " OFTEN " }",
	[RIGHT] = "\"right\": { \"command\": [\"r\"], \"restart_with\": [\"left\"], " OFTEN " }",
	[RIGHT_OTHER] = "\"right\": { \"command\": [\"r2\"], " OFTEN " }",
	[INDEXER] = "\"indexer\": { \"command\": [\"i\"], \"depends_on\": [\"postgres:main\", \"api\"],"
		    "  \"on_dependency_loss\": \"pause\", \"grace\": \"2s\", \"stop\": { \"timeout\": \"300ms\" } }",
	[INDEXER_PATIENT] = "\"indexer\": { \"command\": [\"i\"], \"depends_on\": [\"postgres:main\", \"api\", "
			    "\"valuation\"], \"stop\": { \"timeout\": \"4s\" } }",
	[VALUATION_3] = "\"valuation\": { \"command\": [\"v\"], \"instances\": 3,"
			"  \"depends_on\": [\"browser:chrome\", \"volume:tmp\", \"postgres:main\"],"
			"  \"startup\": { \"exec\": [\"true\"], \"interval\": \"1s\", \"failure_threshold\": 5 } }",
	[VALUATION_5] = "\"valuation\": { \"command\": [\"v\"], \"instances\": 5,"
			"  \"depends_on\": [\"browser:chrome\", \"volume:tmp\", \"postgres:main\"],"
			"  \"startup\": { \"exec\": [\"true\"], \"interval\": \"1s\", \"failure_threshold\": 5 } }",
	[VALUATION_1] = "\"valuation\": { \"command\": [\"v\"], \"depends_on\": [\"browser:chrome\"] }",
	[TELLER] = "\"teller\": { \"command\": [\"t\"], \"depends_on\": [\"postgres:main\"],"
		   "  \"on_dependency_loss\": \"restart\", \"readiness\": { \"notify\": true },"
		   "  \"startup\": { \"notify\": true, \"interval\": \"2s\" },"
		   "  \"progress\": { \"notify\": true, \"stalled_after\": \"30s\" },"
		   "  \"restart\": { \"policy\": \"on-failure\", \"limit\": { \"count\": 3, \"window\": \"1m\" } } }",
	[TELLER_FREE] = "\"teller\": { \"command\": [\"t\"], \"depends_on\": [\"once\"],"
			"  \"startup\": { \"notify\": true }, \"stop\": { \"timeout\": \"20s\" } }",
	[CRASHER] = "\"crasher\": { \"command\": [\"x\"], \"restart\": { \"backoff\": { \"initial\": \"200ms\","
		    "  \"factor\": 2.5, \"max\": \"5s\", \"jitter\": \"50%\", \"reset_after\": \"10s\" },"
		    "  \"limit\": { \"count\": 20, \"window\": \"1m\" } } }",
	[CRASHER_SLOW] = "\"crasher\": { \"command\": [\"x\"], \"startup\": { \"initial_delay\": \"300ms\" }, "
			 "\"restart\": { \"backoff\": { \"initial\": \"2s\","
			 "  \"factor\": 1, \"max\": \"2s\", \"jitter\": \"0%\" },"
			 "  \"limit\": { \"count\": 2, \"window\": \"10s\" } } }",
	[PACER] = "\"pacer\": { \"command\": [\"p\"], \"progress\": { \"notify\": true, \"stalled_after\": \"12s\" },"
		  "  \"stop\": { \"timeout\": \"3s\" }, " OFTEN " }",
	[PACER_HASTY] = "\"pacer\": { \"command\": [\"p\"], \"startup\": { \"notify\": true, \"interval\": \"1s\" },"
			"  \"stop\": { \"timeout\": \"500ms\" }, " OFTEN " }",
	[ONCE] = "\"once\": { \"command\": [\"o\"], \"restart\": { \"policy\": \"never\" } }",
	[REPORT] = "\"report\": { \"command\": [\"p\"], \"kind\": \"job\", \"schedule\": \"*/1 * * * *\","
		   "  \"overlap\": \"queue\" }",
	[REPORT_RARE] = "\"report\": { \"command\": [\"p\"], \"kind\": \"job\", \"schedule\": \"*/2 * * * *\" }",
	[AUDIT] = "\"audit\": { \"command\": [\"a\"], \"kind\": \"job\", \"schedule\": \"*/1 * * * *\","
		  "  \"depends_on\": [\"postgres:main\", \"db\"], \"on_dependency_loss\": \"pause\","
		  "  \"deadline\": \"20s\" }",
	[AUDIT_LATER] = "\"audit\": { \"command\": [\"a\"], \"kind\": \"job\", \"schedule\": \"*/1 * * * *\","
			"  \"depends_on\": [\"report\"], \"deadline\": \"2m\", \"overlap\": \"replace\","
			"  \"restart\": { \"policy\": \"on-failure\", \"backoff\": { \"initial\": \"10s\" } } }",
	[SYNC] = "\"sync\": { \"command\": [\"s\"], \"kind\": \"job\", \"every\": \"5s\", \"overlap\": \"replace\","
		 "  \"depends_on\": [\"postgres:main\"], \"deadline\": \"8s\", \"stop\": { \"timeout\": \"1s\" },"
		 "  \"restart\": { \"policy\": \"on-failure\" } }",
	[SYNC_OFTEN] =
		"\"sync\": { \"command\": [\"s\"], \"kind\": \"job\", \"every\": \"3s\", \"overlap\": \"queue\","
		"  \"restart\": { \"policy\": \"on-failure\", \"limit\": { \"count\": 2, \"window\": \"10s\" } } }",
};

enum { SMALL = 5 }; /* the first of those with workers alone */

static const enum line stacks[][16] = {
	{DB, MIGRATE, API, CACHE, LEFT, RIGHT, INDEXER, VALUATION_3, TELLER, CRASHER, ONCE, REPORT, AUDIT, SYNC},
	{DB, MIGRATE, API, CACHE, LEFT, RIGHT, INDEXER, VALUATION_5, TELLER, CRASHER_SLOW, ONCE, REPORT_RARE, AUDIT,
		SYNC},
	{DB, MIGRATE, API_BY_NOTIFICATION, CACHE_ALONE, RIGHT_OTHER, INDEXER, VALUATION_1, CRASHER, AUDIT_LATER,
		REPORT},
	{DB, MIGRATE_TWICE, API, INDEXER_PATIENT, VALUATION_3, TELLER_FREE, ONCE, SYNC_OFTEN},
	{ONCE, CRASHER, VALUATION_1, DB, API, MIGRATE, TELLER, SYNC, REPORT_RARE},
	{PACER, ONCE, REPORT},
	{CRASHER, PACER_HASTY, REPORT, SYNC_OFTEN},
	{PACER, CRASHER_SLOW, REPORT_RARE},
};

enum { N_STACKS = sizeof(stacks) / sizeof(stacks[0]) };

static struct config *parsed[N_STACKS];
/* By stack and worker: the number of the name. */
static uint32_t names[N_STACKS][NAMES_MAX];
static char known[NAMES_MAX][64];
static size_t n_known;

static uint32_t number_of(const char *name)
{
	for (size_t i = 0; i < n_known; i++)
		if (strcmp(known[i], name) == 0)
			return (uint32_t)i;
	assert_true(n_known < NAMES_MAX);
	snprintf(known[n_known], sizeof(known[0]), "%s", name);
	return (uint32_t)n_known++;
}

static struct config *parse(const enum line *stack, bool small)
{
	static char text[16384];
	/* Where nothing looks at anything every few seconds, whoever is not woken is missed. */
	int n = snprintf(
		text, sizeof(text), "{ %s, \"workers\": { ", small ? "\"memory\": { \"guard\": \"off\" }" : AROUND);
	for (size_t i = 0; stack[i] != END; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%s", i ? ", " : "", lines[stack[i]]);
	n += snprintf(text + n, sizeof(text) - (size_t)n, " } }");
	struct config_report *report = calloc(1, sizeof(*report));
	struct config_source source = {0};
	struct config *config = config_parse(text, (size_t)n, &source, report);
	if (!config)
		fail_msg("%d:%d %s: %s", report->items[0].line, report->items[0].column, report->items[0].path,
			report->items[0].text);
	free(report);
	return config;
}

static struct config *get(size_t i)
{
	if (parsed[i])
		return parsed[i];
	parsed[i] = parse(stacks[i], i >= SMALL);
	for (size_t k = 0; k < parsed[i]->n_workers; k++)
		names[i][k] = number_of(parsed[i]->workers[k].name);
	return parsed[i];
}

size_t stacks_count(bool small)
{
	return small ? N_STACKS - SMALL : SMALL;
}

struct config *stacks_get(bool small, size_t i)
{
	return get(small ? SMALL + i : i);
}

void stacks_free(void)
{
	for (size_t i = 0; i < N_STACKS; i++) {
		config_release(parsed[i]);
		parsed[i] = NULL;
	}
}

uint32_t stacks_book(const struct config *source, const struct config_worker *worker, int instance)
{
	size_t i = 0;
	while (i < N_STACKS && parsed[i] != source)
		i++;
	assert_true(i < N_STACKS && instance < INSTANCES);
	uint32_t name = names[i][worker - source->workers] * 2 + (worker->instances > 1);
	return name * INSTANCES + (uint32_t)instance;
}
