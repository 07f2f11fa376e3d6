'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { fenced, FenceError } = require('../lib/fence');

// A pool whose one client notes what it is asked.
function fake(rowCount) {
	const said = [];
	const client = {
		query: async (sql, values) => {
			said.push([sql.split(' ')[0], ...(values ?? [])].join(' '));
			return { rowCount };
		},
		release: (broken) => said.push(broken ? 'dropped' : 'released'),
	};
	return { said, connect: async () => client };
}

const write = (client) => client.query('insert into t');
const lease = { lease: 'valuation', token: '1099511627777' };

test('a write stands behind the fence, in the same transaction', async () => {
	const pool = fake(1);
	await fenced(pool, write, lease);
	assert.deepEqual(pool.said, ['begin', 'select valuation 1099511627777', 'insert', 'commit', 'released']);
});

test('a stale token writes nothing', async () => {
	const pool = fake(0);
	await assert.rejects(fenced(pool, write, lease), FenceError);
	assert.deepEqual(pool.said, ['begin', 'select valuation 1099511627777', 'dropped']);
});

test('without a lease there is no fence', async () => {
	const pool = fake(1);
	await fenced(pool, write, {});
	assert.deepEqual(pool.said, ['begin', 'insert', 'commit', 'released']);
});

test('a write that fails takes its transaction along', async () => {
	const pool = fake(1);
	await assert.rejects(fenced(pool, async () => assert.fail('no'), lease), /no/);
	assert.equal(pool.said.at(-1), 'dropped');
});
