#!/usr/bin/env node
'use strict';

// Writes data/blocks.json: made-up blocks, the same ones at every run.
//   node tools/make-sample.js > data/blocks.json

const { createHash } = require('node:crypto');
const { MARKETS } = require('../lib/markets');

const FIRST = 21000000;
const COUNT = 64;

const digest = (text) => createHash('sha256').update(text).digest();
const unit = (text) => digest(text).readUInt32BE(0) / 2 ** 32; // 0 <= x < 1
const round = (x, digits) => Number(x.toFixed(digits));

// A wave that closes on itself, so that the repeated sample has no jump, and a little noise.
const wave = (i, phase) => Math.sin((2 * Math.PI * i) / COUNT + phase);

function perMarket(make) {
	return Object.fromEntries(MARKETS.map(({ id }) => [id, make(id, unit(id) * 2 * Math.PI)]));
}

function block(i) {
	return {
		height: FIRST + i,
		hash: '0x' + digest(`block ${i}`).toString('hex'),
		payload: {
			transactions: 80 + Math.floor(unit(`tx ${i}`) * 240),
			gas_used: 9000000 + Math.floor(unit(`gas ${i}`) * 20000000),
			base_fee_gwei: round(4 + 3 * wave(i, 1) + unit(`fee ${i}`), 3),
			utilisation: perMarket((id, phase) => round(0.89 + 0.06 * wave(i, phase) + 0.01 * unit(`u ${id} ${i}`), 6)),
			price_factor: perMarket((id, phase) => round(1 + 0.02 * wave(i, phase + 1) + 0.002 * unit(`p ${id} ${i}`), 6)),
		},
	};
}

const lines = Array.from({ length: COUNT }, (_, i) => JSON.stringify(block(i)));
process.stdout.write(`[\n${lines.join(',\n')}\n]\n`);
