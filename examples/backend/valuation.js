#!/usr/bin/env node
'use strict';

// Every PACE_MS: opens the page of markets in a browser that somebody else keeps, reads the rates, writes them as
// valuations and tells the API by NOTIFY. Each round is a session of its own, so the browser can be replaced between two
// rounds. After MAX_FAILURES rounds in a row without success it exits with 1.

const puppeteer = require('puppeteer-core');
const env = require('./lib/env');
const log = require('./lib/log');
const { notify } = require('./lib/notify');
const { stopSignal, sleep, within, backoff } = require('./lib/life');
const { pool } = require('./lib/db');
const { valuations } = require('./lib/scrape');
const { fenced, FenceError } = require('./lib/fence');

const BROWSER_URL = env.text('BROWSER_URL', 'http://127.0.0.1:9222');
const MARKETS_URL = env.text('MARKETS_URL', 'http://127.0.0.1:3000/markets');
const PACE_MS = env.whole('PACE_MS', 2000);
const MAX_FAILURES = env.whole('MAX_FAILURES', 10, { min: 1 });
const BROWSER_TIMEOUT_MS = env.whole('BROWSER_TIMEOUT_MS', 15000, { min: 1 });
const STOP_LIMIT_MS = 4000; // a browser that hangs must not hold up the stop
const TELL_EVERY_MS = 10000;

// One statement: the rows and what is said about them are there together or not at all.
const INSERT = `
with added as (
	insert into valuations (market, apy, borrow_apy, price, block_height)
	select market, apy, borrow_apy, price, block_height
	from jsonb_to_recordset($1) as r (market text, apy numeric, borrow_apy numeric, price numeric, block_height bigint)
	returning *
)
select count(pg_notify('valuations', row_to_json(added)::text)) from added`;

async function scrape(stop) {
	const browser = await within(
		BROWSER_TIMEOUT_MS,
		'connecting to the browser',
		puppeteer.connect({ browserURL: BROWSER_URL, protocolTimeout: BROWSER_TIMEOUT_MS, defaultViewport: null }),
		(late) => late.disconnect(),
	);
	let page;
	let closed;
	const close = () => (closed ??= page && within(2000, 'closing the page', page.close()).catch((err) => log.warn(log.reason(err))));
	stop.addEventListener('abort', close); // whatever waits on the page fails at once
	try {
		page = await browser.newPage();
		if (stop.aborted) return null;
		await page.goto(MARKETS_URL, { waitUntil: 'domcontentloaded', timeout: BROWSER_TIMEOUT_MS });
		await page.waitForSelector('body[data-height] #markets tbody tr', { timeout: BROWSER_TIMEOUT_MS });
		return valuations(await page.evaluate(readTable));
	} finally {
		stop.removeEventListener('abort', close);
		await close();
		await browser.disconnect(); // never browser.close(): the browser is shared
	}
}

// Runs inside the page.
function readTable() {
	const rows = [...document.querySelectorAll('#markets tbody tr')];
	return {
		height: document.body.dataset.height,
		rows: rows.map((tr) => ({ market: tr.dataset.market, cells: [...tr.cells].map((td) => td.textContent) })),
	};
}

async function round(db, stop) {
	const found = await scrape(stop);
	if (found) await fenced(db, (client) => client.query(INSERT, [JSON.stringify(found)]));
	return found;
}

async function work(db, stop) {
	let failures = 0;
	let written = 0;
	let toldAt = -Infinity;
	while (!stop.aborted) {
		const startedAt = performance.now();
		try {
			const found = await round(db, stop);
			if (!found) break;
			failures = 0;
			written += found.length;
			notify({ READY: 1, WATCHDOG: 1, STATUS: `${written} valuations written`, X_PROGRESS: written });
			if (startedAt - toldAt >= TELL_EVERY_MS) {
				toldAt = startedAt;
				log.info('valuations written', { count: found.length, total: written, height: found[0].block_height });
			}
			await sleep(Math.max(0, startedAt + PACE_MS - performance.now()), stop);
		} catch (err) {
			if (err instanceof FenceError) throw err; // its time is over: nothing that it does counts any more
			if (stop.aborted) break;
			const cause = log.reason(err);
			if (++failures >= MAX_FAILURES) throw new Error(`${failures} failures in a row, the last one: ${cause}`);
			const pause = backoff(failures, { first: 250, last: 15000 });
			log.warn(`no valuation: ${cause}`, { failures, retry_ms: pause });
			notify({ WATCHDOG: 1, STATUS: `failed ${failures} times: ${cause}` }); // the loop is alive, its work is not
			await sleep(pause, stop);
		}
	}
}

async function main() {
	const stop = stopSignal(log);
	stop.addEventListener('abort', () => {
		notify({ STOPPING: 1 });
		setTimeout(() => fail(new Error(`could not stop within ${STOP_LIMIT_MS} ms`)), STOP_LIMIT_MS).unref();
	});
	const db = pool(env.text('DATABASE_URL'), 'valuation', { max: 1 });
	log.info('valuing', { browser: BROWSER_URL, markets: MARKETS_URL, pace_ms: PACE_MS });
	await work(db, stop);
	const leaving = Promise.all([db.end(), notify({ STATUS: 'stopped' })]);
	await within(2000, 'leaving the database', leaving).catch((err) => log.warn(log.reason(err)));
}

function fail(err) {
	log.error(`valuing ended: ${log.reason(err)}`);
	process.exit(1);
}

main().then(() => process.exit(0), fail);
