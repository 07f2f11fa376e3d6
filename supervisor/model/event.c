#include "podvisor/model/event.h"

static const char *const event_names[EVENT_KIND_COUNT] = {
#define EVENT_NAME(id, name) [id] = name,
	EVENT_KINDS(EVENT_NAME)
#undef EVENT_NAME
};

static const char *const probe_names[PROBE_COUNT] = {
	[PROBE_STARTUP] = "startup",
	[PROBE_READINESS] = "readiness",
	[PROBE_LIVENESS] = "liveness",
};

static const char *const rung_names[RUNG_COUNT] = {
	[RUNG_BROWSER] = "browser",
	[RUNG_RENDERER] = "renderer",
	[RUNG_NETWORK] = "network",
};

static const char *const chrome_names[CHROME_TYPE_COUNT] = {
#define CHROME_NAME(id, name) [id] = name,
	CHROME_TYPES(CHROME_NAME)
#undef CHROME_NAME
};

static const char *const reason_names[POSTGRES_REASON_COUNT] = {
	[POSTGRES_REASON_NONE] = "",
	[POSTGRES_REASON_STARTING] = "starting",
	[POSTGRES_REASON_RECOVERING] = "recovering",
	[POSTGRES_REASON_READ_ONLY] = "read-only",
	[POSTGRES_REASON_REFUSING] = "refusing",
	[POSTGRES_REASON_UNAUTHORIZED] = "unauthorized",
	[POSTGRES_REASON_NO_DATABASE] = "no-database",
	[POSTGRES_REASON_TLS] = "tls",
	[POSTGRES_REASON_UNREACHABLE] = "unreachable",
	[POSTGRES_REASON_HUNG] = "hung",
	[POSTGRES_REASON_SLOW] = "slow",
	[POSTGRES_REASON_LAGGING] = "lagging",
	[POSTGRES_REASON_OTHER] = "other",
};

const char *event_name(enum event_kind kind)
{
	return kind < EVENT_KIND_COUNT ? event_names[kind] : "unknown";
}

const char *probe_name(enum probe probe)
{
	return probe < PROBE_COUNT ? probe_names[probe] : "unknown";
}

const char *rung_name(enum rung rung)
{
	return rung < RUNG_COUNT ? rung_names[rung] : "unknown";
}

const char *browser_tidied_name(enum browser_tidied what)
{
	static const char *const names[TIDIED_COUNT] = {
#define TIDIED_NAME(id, name) [id] = name,
		BROWSER_TIDIES(TIDIED_NAME)
#undef TIDIED_NAME
	};
	return what < TIDIED_COUNT ? names[what] : "unknown";
}

const char *chrome_type_name(enum chrome_type type)
{
	return type < CHROME_TYPE_COUNT ? chrome_names[type] : "unknown";
}

const char *postgres_reason_name(enum postgres_reason reason)
{
	return reason < POSTGRES_REASON_COUNT ? reason_names[reason] : "unknown";
}
