'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { backoff, sleep, within } = require('../lib/life');
const log = require('../lib/log');

test('back-off doubles up to its last step, with at most half of it as jitter', () => {
	const options = { first: 100, last: 1000 };
	assert.equal(backoff(0, { ...options, random: () => 0 }), 50);
	assert.equal(backoff(0, { ...options, random: () => 1 }), 100);
	assert.equal(backoff(2, { ...options, random: () => 1 }), 400);
	assert.equal(backoff(1000, { ...options, random: () => 1 }), 1000);
});

test('a sleep ends at once when the signal fires', async () => {
	const stop = new AbortController();
	const sleeping = sleep(3600000, stop.signal);
	stop.abort();
	await sleeping;
	await sleep(3600000, stop.signal);
});

test('what takes too long is named, and its late result is handed over', async () => {
	let finish;
	const slow = new Promise((resolve) => (finish = resolve));
	const late = new Promise((resolve) => {
		assert.rejects(within(1, 'waiting for nothing', slow, resolve), /waiting for nothing took longer than 1 ms/).then(() =>
			finish('here'),
		);
	});
	assert.equal(await late, 'here');
});

test('what is quick enough is passed on', async () => {
	assert.equal(await within(60000, 'nothing', Promise.resolve(7)), 7);
	await assert.rejects(within(60000, 'nothing', Promise.reject(new Error('broken'))), /broken/);
});

test('the reason of an error names its code once', () => {
	assert.equal(log.reason(Object.assign(new Error('no such table'), { code: '42P01' })), 'no such table (42P01)');
	assert.equal(log.reason(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })), 'connect ECONNREFUSED');
	assert.equal(log.reason(new AggregateError([new Error('a'), new Error('b')])), 'a; b');
});
