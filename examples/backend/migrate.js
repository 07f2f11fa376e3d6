#!/usr/bin/env node
'use strict';

// Creates the tables. Safe to run again, and by two at once.

const env = require('./lib/env');
const log = require('./lib/log');
const { stopSignal } = require('./lib/life');
const { connectPatiently } = require('./lib/db');

const SCHEMA = `
create table if not exists blocks (
	height   bigint primary key,
	hash     text not null,
	mined_at timestamptz not null default now(),
	payload  jsonb not null
);
create table if not exists valuations (
	id           bigint generated always as identity primary key,
	market       text not null,
	apy          numeric not null,
	borrow_apy   numeric not null,
	price        numeric not null,
	block_height bigint not null,
	scraped_at   timestamptz not null default now()
);
create index if not exists valuations_market_id on valuations (market, id desc);
`;
const LOCK = 0x706f6476; // any number, the same in every run

async function main() {
	const client = await connectPatiently(env.text('DATABASE_URL'), 'migrate', {
		patienceMs: env.whole('CONNECT_PATIENCE_MS', 15000),
		signal: stopSignal(log),
		lost: (err) => fail(err),
	});
	if (!client) return; // told to stop before the database answered
	await client.query('begin');
	await client.query('select pg_advisory_xact_lock($1)', [LOCK]);
	await client.query(SCHEMA);
	await client.query('commit');
	await client.bye();
	log.info('the tables are there');
}

function fail(err) {
	log.error(`the migration failed: ${log.reason(err)}`);
	process.exit(1);
}

main().then(() => process.exit(0), fail);
