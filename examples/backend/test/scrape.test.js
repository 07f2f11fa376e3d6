'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { percent, price, height, valuations } = require('../lib/scrape');

const ROW = {
	market: 'weth-usdc',
	cells: ['WETH / USDC', '86.0000%', '91.2345%', '5.4321%', '6.0001%', '3,184.2500 USDC'],
};

test('a percentage becomes a ratio', () => {
	assert.equal(percent('5.4321%'), 0.054321);
	assert.equal(percent(' 0.0000% '), 0);
	assert.equal(percent('-1.5%'), -0.015);
});

test('what is not a percentage is refused', () => {
	for (const text of ['', '%', '5.4', 'NaN%', '5,4%', 'undefined%', '1e3%']) assert.throws(() => percent(text), /percentage/);
});

test('a price may have thousands separators', () => {
	assert.equal(price('3,184.2500 USDC'), 3184.25);
	assert.equal(price('1,234,567.8 X'), 1234567.8);
	assert.equal(price('0.0100 WETH'), 0.01);
});

test('what is not a price is refused', () => {
	for (const text of ['', 'NaN USDC', '3184.25', '31,84.25 USDC', '-1.00 USDC', '1.0 USD C'])
		assert.throws(() => price(text), /price/, text);
});

test('a height is all digits', () => {
	assert.equal(height('21000000'), 21000000);
	for (const text of [undefined, '', '-1', '1.5', '21,000,000']) assert.throws(() => height(text), /height/);
});

test('a row of the page becomes a valuation', () => {
	assert.deepEqual(valuations({ height: '21000007', rows: [ROW] }), [
		{ market: 'weth-usdc', apy: 0.054321, borrow_apy: 0.060001, price: 3184.25, block_height: 21000007 },
	]);
});

test('a page without rows is refused', () => {
	assert.throws(() => valuations({ height: '1', rows: [] }), /no markets/);
});

test('a page whose layout changed is refused', () => {
	const short = { ...ROW, cells: ROW.cells.slice(1) };
	assert.throws(() => valuations({ height: '1', rows: [short] }), /layout/);
	assert.throws(() => valuations({ height: '1', rows: [{ ...ROW, market: undefined }] }), /layout/);
});
