'use strict';

const timers = require('node:timers/promises');

// An AbortSignal that fires at the first SIGTERM or SIGINT.
function stopSignal(log) {
	const stop = new AbortController();
	for (const name of ['SIGTERM', 'SIGINT'])
		process.on(name, () => {
			if (stop.signal.aborted) return;
			log.info(`${name} received, stopping`);
			stop.abort();
		});
	return stop.signal;
}

// Resolves after ms, or at once (without throwing) when the signal fires.
async function sleep(ms, signal) {
	try {
		await timers.setTimeout(ms, undefined, { signal });
	} catch (err) {
		if (err.name !== 'AbortError') throw err;
	}
}

// Rejects when the promise takes longer than ms; what it was doing stands in the sentence. The promise itself goes on,
// so the caller says in late() what to do with a result that nobody waits for any more.
async function within(ms, doing, promise, late = () => {}) {
	let timer;
	let over = false;
	const limit = new Promise((_, reject) => {
		timer = setTimeout(() => {
			over = true;
			reject(new Error(`${doing} took longer than ${ms} ms`));
		}, ms);
	});
	promise.then((value) => over && late(value), () => {});
	try {
		return await Promise.race([promise, limit]);
	} finally {
		clearTimeout(timer);
	}
}

// Full jitter: anything from half a step to a whole one, doubling from first to last.
function backoff(attempt, { first = 250, last = 5000, random = Math.random } = {}) {
	const step = Math.min(last, first * 2 ** Math.min(attempt, 30));
	return Math.round(step / 2 + (random() * step) / 2);
}

module.exports = { stopSignal, sleep, within, backoff };
