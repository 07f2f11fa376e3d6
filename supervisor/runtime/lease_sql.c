#include "lease_sql.h"

/* Of replicas that begin at once, one makes the tables: "if not exists" alone can fail then. */
#define MAKING_LOCK "7887894120193"

void lease_sql_open(struct buf *out, const char *schema, int64_t timeout_ms)
{
	buf_printf(out,
		"set statement_timeout = %lld; set idle_in_transaction_session_timeout = %lld; "
		"listen " LEASE_SQL_CHANNEL
		"; select to_regclass('\"%s\".lease') is not null and to_regclass('\"%s\".member') is not null",
		(long long)timeout_ms, (long long)timeout_ms, schema, schema);
}

/* token: one number for the workers and for their fence. Being part of a unique key, it makes taking a lease wait for
 * whoever has locked the row FOR KEY SHARE, and renewing not. Half a page is left free, so that renewals need no
 * index. */
void lease_sql_make(struct buf *out, const char *schema)
{
	buf_printf(out,
		"begin; select pg_advisory_xact_lock(" MAKING_LOCK "); "
		"do $$ begin if to_regnamespace('\"%s\"') is null then create schema \"%s\"; end if; end $$; ",
		schema, schema);
	buf_printf(out,
		"create table if not exists \"%s\".lease ("
		"name text primary key, counter bigint not null default 0, seq bigint not null default 0, "
		"timeline bigint not null default 0, holder text, renewed_at timestamptz, "
		"token bigint not null generated always as (timeline * 1099511627776 + counter) stored, "
		"unique (name, token)) with (fillfactor = 50); ",
		schema);
	buf_printf(out,
		"create table if not exists \"%s\".member ("
		"id text primary key, leases jsonb not null, leaving boolean not null, "
		"began_at timestamptz not null default clock_timestamp(), "
		"seen_at timestamptz not null default clock_timestamp()) with (fillfactor = 50); "
		"commit; select 1",
		schema);
}

void lease_sql_name(struct buf *out, const char *schema)
{
	buf_printf(out,
		"insert into \"%s\".lease (name) select json_array_elements_text($1::json) "
		"on conflict do nothing returning name",
		schema);
}

/* Who comes and who leaves calls the others to meet. */
void lease_sql_meet(struct buf *out, const char *schema)
{
	buf_printf(out,
		"with me as (insert into \"%s\".member as m (id, leases, leaving) values ($1, $2::jsonb, $3::boolean) "
		"on conflict (id) do update set leases = excluded.leases, leaving = excluded.leaving, "
		"seen_at = clock_timestamp() returning m.id, m.leaving, m.xmax = 0 as is_new), "
		"old as (delete from \"%s\".member where id <> $1 and "
		"seen_at < clock_timestamp() - 20 * $4::bigint * interval '1 ms'), ",
		schema, schema);
	buf_printf(out,
		"there as (select id from me where not leaving union all select id from \"%s\".member where id <> $1 "
		"and not leaving and seen_at > clock_timestamp() - $4::bigint * interval '1 ms') "
		"select id, (select pg_notify('" LEASE_SQL_CHANNEL "', json_build_object('schema', '%s', 'meet', true)"
		"::text) from me where leaving or is_new) from there order by id",
		schema, schema);
}

/* The timeline is in the name of the current WAL file: any role may read it, and it is new right after a promotion. On
 * a standby it is an error, which is right: a standby grants nothing. */
#define HISTORY                                                                                            \
	"with h as (select ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint " \
	"as timeline, (select system_identifier from pg_control_system()) as system, "                     \
	"(extract(epoch from clock_timestamp()) * 1000)::bigint as wall)"
#define COLUMNS                                                        \
	"h.system, h.timeline, h.wall, r.counter, r.seq, r.timeline, " \
	"(extract(epoch from r.renewed_at) * 1000)::bigint, coalesce(r.holder, '')"
#define GRANT "l.name = $1 and l.holder = $2 and l.counter = $3::bigint and l.timeline = $4::bigint"

static void ask_observe(struct buf *out, const char *schema)
{
	buf_printf(out, HISTORY " select " COLUMNS " from h left join \"%s\".lease r on r.name = $1", schema);
}

static void ask_acquire(struct buf *out, const char *schema)
{
	buf_printf(out,
		HISTORY ", r as (update \"%s\".lease l set holder = $2, counter = l.counter + 1, seq = l.seq + 1, "
			"timeline = h.timeline, renewed_at = clock_timestamp() from h where l.name = $1 and "
			"l.counter = $3::bigint and l.seq = $4::bigint and "
			"l.holder is not distinct from nullif($5::text, '') and h.timeline = $6::bigint returning l.*) "
			"select " COLUMNS " from h left join r on true",
		schema);
}

static void ask_renew(struct buf *out, const char *schema)
{
	buf_printf(out,
		HISTORY ", r as (update \"%s\".lease l set seq = l.seq + 1, renewed_at = clock_timestamp() where " GRANT
			" returning l.*) select " COLUMNS " from h left join r on true",
		schema);
}

/* Named is the newest of those that want it: in a rolling update, one of the new revision. */
static void ask_release(struct buf *out, const char *schema)
{
	buf_printf(out,
		HISTORY ", r as (update \"%s\".lease l set holder = null, seq = l.seq + 1, "
			"renewed_at = clock_timestamp() where " GRANT " returning l.*), "
			"p as (select m.id from \"%s\".member m where $6::text = 'newest' and m.id <> $2 and "
			"not m.leaving and m.seen_at > clock_timestamp() - $5::bigint * interval '1 ms' and "
			"m.leases ? $1 order by m.began_at desc limit 1) ",
		schema, schema);
	buf_printf(out,
		"select " COLUMNS ", (select pg_notify('" LEASE_SQL_CHANNEL "', json_build_object('schema', '%s', "
		"'name', r.name, 'token', r.counter, 'seq', r.seq, 'to', (select id from p))::text) from r) "
		"from h left join r on true",
		schema);
}

void lease_sql_ask(struct buf *out, const char *schema, enum lease_request request)
{
	static void (*const asks[LEASE_REQUEST_COUNT])(struct buf *, const char *) = {
		[LEASE_OBSERVE] = ask_observe,
		[LEASE_ACQUIRE] = ask_acquire,
		[LEASE_RENEW] = ask_renew,
		[LEASE_RELEASE] = ask_release,
	};
	if (asks[request])
		asks[request](out, schema);
}
