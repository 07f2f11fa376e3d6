#!/usr/bin/env node
'use strict';

// Writes the bundled sample to PostgreSQL as an endless chain, one block per PACE_MS, from where the last run ended.
// When the database is lost it exits with 1: its supervisor starts it again.

const env = require('./lib/env');
const log = require('./lib/log');
const { notify } = require('./lib/notify');
const { stopSignal, sleep, within } = require('./lib/life');
const { connectPatiently } = require('./lib/db');
const { chain } = require('./lib/sample');

const PACE_MS = env.whole('PACE_MS', 500);
const TELL_EVERY_MS = 2000; // each notification costs a short process

const INSERT = `insert into blocks (height, hash, payload) values ($1, $2, $3) on conflict (height) do nothing`;

async function main() {
	const stop = stopSignal(log);
	stop.addEventListener('abort', () => notify({ STOPPING: 1 }));
	const blocks = chain(require('./data/blocks.json'));
	const db = await connectPatiently(env.text('DATABASE_URL'), 'indexer', {
		patienceMs: env.whole('CONNECT_PATIENCE_MS', 15000),
		signal: stop,
		lost: fail,
	});
	if (!db) return;
	await write(db, blocks, await nextHeight(db, blocks), stop);
	const leaving = Promise.all([db.bye(), notify({ STATUS: 'stopped' })]);
	await within(2000, 'leaving the database', leaving).catch((err) => log.warn(log.reason(err)));
}

async function nextHeight(db, blocks) {
	const { rows } = await db.query('select max(height)::text as top from blocks');
	const next = rows[0].top === null ? blocks.first : Number(rows[0].top) + 1;
	log.info(`indexing from block ${next}`, { height: next, pace_ms: PACE_MS });
	return next;
}

async function write(db, blocks, height, stop) {
	let toldAt = -Infinity;
	for (; !stop.aborted; height++) {
		const startedAt = performance.now();
		const block = blocks.block(height);
		await db.query(INSERT, [block.height, block.hash, block.payload]);
		if (startedAt - toldAt >= TELL_EVERY_MS) {
			toldAt = startedAt;
			notify({ READY: 1, STATUS: `at block ${height}`, X_PROGRESS: height });
			log.info('block written', { height });
		}
		await sleep(Math.max(0, startedAt + PACE_MS - performance.now()), stop);
	}
}

function fail(err) {
	const cause = err.code === '42P01' ? 'the table blocks is missing, run migrate.js first' : log.reason(err);
	log.error(`indexing ended: ${cause}`);
	process.exit(1);
}

main().then(() => process.exit(0), fail);
