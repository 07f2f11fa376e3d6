#!/usr/bin/env node
'use strict';

const { parseArgs } = require('node:util');
const WebSocket = require('ws');

const HELP = `Usage: ws-client.js [--count N] [--timeout SECONDS] [--quiet] [URL]

Prints what a WebSocket sends, one JSON object a line, and at the end how it was closed:
  {"event":"open"}
  {"event":"message","n":1,"data":{...}}
  {"event":"close","code":1012,"reason":"service restart","messages":1}

  URL                default ws://127.0.0.1:8080/ws
  --count N          close with 1000 after N messages; without it, go on until the other side closes
  --timeout SECONDS  give up then
  --quiet            no line per message

Exit code: 0 when N messages came, or, without --count, when the other side sent a Close; 1 otherwise; 64 wrong usage.
`;

const OPTIONS = {
	count: { type: 'string' },
	timeout: { type: 'string' },
	quiet: { type: 'boolean' },
	help: { type: 'boolean', short: 'h' },
};

function usage(sentence) {
	process.stderr.write(`ws-client: ${sentence}\n${HELP}`);
	process.exit(64);
}

function readArgs() {
	let parsed;
	try {
		parsed = parseArgs({ options: OPTIONS, allowPositionals: true });
	} catch (err) {
		usage(err.message);
	}
	const { values, positionals } = parsed;
	if (values.help) {
		process.stdout.write(HELP);
		process.exit(0);
	}
	for (const name of ['count', 'timeout'])
		if (values[name] !== undefined && !(Number(values[name]) > 0)) usage(`--${name} must be above 0`);
	if (positionals.length > 1) usage('one URL at most');
	return {
		url: positionals[0] ?? 'ws://127.0.0.1:8080/ws',
		count: Number(values.count ?? Infinity),
		timeout_ms: values.timeout ? Number(values.timeout) * 1000 : 0,
		quiet: values.quiet,
	};
}

const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n');

function parsed(data) {
	try {
		return JSON.parse(data);
	} catch {
		return String(data);
	}
}

function main({ url, count, timeout_ms, quiet }) {
	const socket = new WebSocket(url);
	let messages = 0;
	let late = false;
	socket.on('open', () => tell({ event: 'open' }));
	socket.on('error', (err) => tell({ event: 'error', reason: err.message || err.code }));
	socket.on('message', (data) => {
		if (messages >= count) return;
		messages++;
		if (!quiet) tell({ event: 'message', n: messages, data: parsed(data) });
		if (messages >= count) socket.close(1000);
	});
	socket.on('close', (code, reason) => {
		tell({ event: 'close', code, reason: String(reason), messages });
		// 1006 stands for "no Close came", 1005 for a Close without a code.
		process.exit(!late && (count === Infinity ? code !== 1006 : messages >= count) ? 0 : 1);
	});
	for (const name of ['SIGINT', 'SIGTERM']) process.on(name, () => socket.close(1000));
	if (timeout_ms > 0)
		setTimeout(() => {
			late = true;
			tell({ event: 'timeout' });
			socket.terminate();
		}, timeout_ms);
}

main(readArgs());
