'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { chain } = require('../lib/sample');
const { MARKETS, borrowRate, rates } = require('../lib/markets');

const SAMPLE = [
	{ height: 100, hash: '0xaa', payload: { n: 0 } },
	{ height: 101, hash: '0xbb', payload: { n: 1 } },
	{ height: 102, hash: '0xcc', payload: { n: 2 } },
];

test('the first round is the sample itself', () => {
	const blocks = chain(SAMPLE);
	assert.equal(blocks.first, 100);
	for (const block of SAMPLE) assert.deepEqual(blocks.block(block.height), block);
});

test('after its end the sample goes on from its beginning with growing heights', () => {
	const block = chain(SAMPLE).block(103);
	assert.equal(block.height, 103);
	assert.deepEqual(block.payload, { n: 0 });
});

test('a repeated block has a hash of its own', () => {
	const blocks = chain(SAMPLE);
	const hashes = new Set();
	for (let height = 100; height < 400; height++) hashes.add(blocks.block(height).hash);
	assert.equal(hashes.size, 300);
});

test('a height always gives the same block', () => {
	assert.deepEqual(chain(SAMPLE).block(54321), chain(SAMPLE).block(54321));
});

test('a height before the first block is refused', () => {
	assert.throws(() => chain(SAMPLE).block(99), RangeError);
	assert.throws(() => chain(SAMPLE).block(100.5), RangeError);
});

test('an empty sample is refused', () => {
	assert.throws(() => chain([]), /holds no blocks/);
});

test('the bundled sample has consecutive heights and every market', () => {
	const sample = require('../data/blocks.json');
	assert.equal(sample.length, 64);
	sample.forEach((block, i) => {
		assert.equal(block.height, sample[0].height + i);
		assert.match(block.hash, /^0x[0-9a-f]{64}$/);
		for (const { id } of MARKETS) {
			assert.ok(block.payload.utilisation[id] > 0 && block.payload.utilisation[id] < 1, `${id} at ${block.height}`);
			assert.ok(block.payload.price_factor[id] > 0.9 && block.payload.price_factor[id] < 1.1);
		}
	});
});

test('rates change from block to block', () => {
	const [one, two] = require('../data/blocks.json');
	assert.notDeepEqual(rates(one.payload), rates(two.payload));
});

test('the borrow rate is the target at target utilisation, a quarter of it when idle, four times it when full', () => {
	assert.equal(borrowRate(0.9, 0.04), 0.04);
	assert.equal(borrowRate(0, 0.04), 0.01);
	assert.ok(Math.abs(borrowRate(1, 0.04) - 0.16) < 1e-12);
});
