'use strict';

// Settings come from the environment; a wrong one ends the program with a sentence and 78 (EX_CONFIG).

function refuse(sentence) {
	process.stdout.write(JSON.stringify({ level: 'error', msg: sentence }) + '\n');
	process.exit(78);
}

function text(name, fallback) {
	const value = process.env[name] || fallback;
	if (value === undefined) refuse(`${name} is not set`);
	return value;
}

function whole(name, fallback, { min = 0, max = Number.MAX_SAFE_INTEGER } = {}) {
	const raw = process.env[name];
	if (raw === undefined || raw === '') return fallback;
	const value = Number(raw);
	if (!/^[0-9]+$/.test(raw) || value < min || value > max)
		refuse(`${name} is "${raw}": expected a whole number from ${min} to ${max}`);
	return value;
}

module.exports = { text, whole };
