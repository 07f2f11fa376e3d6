'use strict';

const { createHash } = require('node:crypto');

// The chain that the indexer reads: the bundled sample repeated for ever, with heights that only grow. A height always
// gives the same block, so a restarted indexer writes what its predecessor would have written.
function chain(sample) {
	if (!Array.isArray(sample) || sample.length === 0) throw new Error('the sample holds no blocks');
	const base = sample[0].height;
	return {
		first: base,
		block(height) {
			if (!Number.isSafeInteger(height) || height < base) throw new RangeError(`no block ${height}`);
			const { hash, payload } = sample[(height - base) % sample.length];
			const round = Math.floor((height - base) / sample.length);
			return { height, hash: round === 0 ? hash : rehash(hash, height), payload };
		},
	};
}

function rehash(hash, height) {
	return '0x' + createHash('sha256').update(`${hash}:${height}`).digest('hex');
}

module.exports = { chain };
