#!/usr/bin/env node
'use strict';

// The API: markets, blocks, valuations, and a WebSocket that pushes each new valuation.

const http = require('node:http');
const { once } = require('node:events');
const { WebSocketServer, WebSocket } = require('ws');
const env = require('./lib/env');
const log = require('./lib/log');
const page = require('./lib/page');
const { notify } = require('./lib/notify');
const { stopSignal, sleep, within } = require('./lib/life');
const { pool, listen } = require('./lib/db');
const { rates } = require('./lib/markets');

const HOST = env.text('HOST', '127.0.0.1');
const PORT = env.whole('PORT', 3000, { max: 65535 });
const WS_GRACE_MS = env.whole('WS_GRACE_MS', 1000);
const WS_BACKLOG_BYTES = 1 << 20; // a client that is this far behind is cut off
const UNUSED_GRACE_MS = 200;
const CATCH_UP_ROWS = 1000;

const stop = stopSignal(log);
const db = pool(env.text('DATABASE_URL'), 'api', { max: 5, query_timeout: 5000 });

// --- answers

async function latestBlock() {
	const { rows } = await db.query('select row_to_json(b) as block from blocks b order by height desc limit 1');
	return rows[0]?.block ?? null;
}

async function markets() {
	const block = await latestBlock();
	return json(200, { height: block?.height ?? null, markets: block ? rates(block.payload) : [] });
}

async function block() {
	const found = await latestBlock();
	return found ? json(200, found) : json(404, { error: 'there is no block yet' });
}

async function valuations(url) {
	const raw = url.searchParams.get('limit') ?? '50';
	const limit = Number(raw);
	if (!/^[0-9]{1,4}$/.test(raw) || limit < 1 || limit > 1000)
		return json(400, { error: 'limit is a whole number from 1 to 1000' });
	const { rows } = await db.query('select row_to_json(v) as v from valuations v order by id desc limit $1', [limit]);
	return json(200, rows.map((row) => row.v));
}

// One check at a time: against a hung database, probes must not use up the pool.
let checking = null;
async function healthz() {
	checking ??= db.query('select 1').finally(() => (checking = null));
	try {
		await within(500, 'asking the database', checking);
		return json(200, { status: 'ok' });
	} catch (err) {
		return json(503, { status: 'unavailable', reason: log.reason(err) });
	}
}

const ROUTES = {
	'/': async () => ({ status: 302, headers: { location: '/markets' }, body: '' }),
	'/healthz': healthz,
	'/markets': async () => ({ status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: page }),
	'/api/markets': markets,
	'/api/blocks/latest': block,
	'/api/valuations': valuations,
};

function json(status, value) {
	return { status, headers: { 'content-type': 'application/json', 'cache-control': 'no-store' }, body: JSON.stringify(value) };
}

function parse(target) {
	try {
		return new URL(target, 'http://localhost');
	} catch {
		return null;
	}
}

async function answer(req) {
	const url = parse(req.url);
	const route = url && Object.hasOwn(ROUTES, url.pathname) ? ROUTES[url.pathname] : null;
	if (!route) return json(404, { error: 'no such page' });
	if (req.method !== 'GET' && req.method !== 'HEAD') {
		const refusal = json(405, { error: 'only GET and HEAD' });
		return { ...refusal, headers: { ...refusal.headers, allow: 'GET, HEAD' } };
	}
	try {
		return await route(url);
	} catch (err) {
		log.warn(`${url.pathname} failed: ${log.reason(err)}`);
		return json(503, { error: 'the database does not answer' });
	}
}

// Connections that carry a request, WebSockets included. Node's own list of idle connections lacks those that never
// carried one, and a browser opens such connections in advance.
const connections = new Set();
const busy = new Set();

const server = http.createServer(async (req, res) => {
	const { socket } = req;
	busy.add(socket);
	res.on('close', () => busy.delete(socket));
	req.resume();
	const { status, headers, body } = await answer(req);
	if (stop.aborted) res.shouldKeepAlive = false;
	res.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) });
	res.end(req.method === 'HEAD' ? undefined : body);
});
server.on('connection', (socket) => {
	connections.add(socket);
	socket.on('close', () => {
		connections.delete(socket);
		busy.delete(socket);
	});
});
server.keepAliveTimeout = 120000; // longer than any proxy in front keeps an idle connection: the proxy closes first

// --- WebSocket

const sockets = new WebSocketServer({ noServer: true, maxPayload: 64 * 1024 });

server.on('upgrade', (req, socket, head) => {
	busy.add(socket);
	socket.on('error', () => socket.destroy());
	const status = stop.aborted ? '503 Service Unavailable' : parse(req.url)?.pathname === '/ws' ? null : '404 Not Found';
	if (status) return socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
	sockets.handleUpgrade(req, socket, head, (client) => {
		client.on('error', (err) => log.warn(`a WebSocket failed: ${log.reason(err)}`));
		client.on('pong', () => (client.answered = true));
		client.answered = true;
	});
});

function push(valuation) {
	const text = JSON.stringify({ type: 'valuation', ...valuation });
	for (const client of sockets.clients) {
		if (client.readyState !== WebSocket.OPEN) continue;
		if (client.bufferedAmount > WS_BACKLOG_BYTES) client.terminate();
		else client.send(text);
	}
}

async function heartbeat() {
	while (!stop.aborted) {
		await sleep(30000, stop);
		for (const client of sockets.clients) {
			if (!client.answered) client.terminate();
			client.answered = false;
			if (client.readyState === WebSocket.OPEN) client.ping();
		}
	}
}

// --- new valuations, also those written while LISTEN was down

let lastId = null;
let caughtUpTo = 0;

function deliver(valuation) {
	if (valuation.id <= caughtUpTo) return; // fetched already, its notification came a moment later
	lastId = Math.max(lastId, valuation.id);
	push(valuation);
}

async function catchUp(client) {
	if (lastId === null) {
		const { rows } = await client.query('select coalesce(max(id), 0)::text as top from valuations');
		lastId = Number(rows[0].top);
	} else {
		const { rows } = await client.query(
			'select row_to_json(v) as v from valuations v where id > $1 order by id limit $2',
			[lastId, CATCH_UP_ROWS],
		);
		rows.forEach((row) => deliver(row.v));
	}
	caughtUpTo = lastId;
	log.info('listening for valuations', { after: lastId });
}

// --- life

async function finishRequests() {
	const closed = new Promise((resolve) => server.close(resolve));
	server.closeIdleConnections();
	// A connection may become idle after the stop began; one without a request yet may have it on its way, for a moment.
	const sweep = setInterval(() => {
		for (const socket of connections) if (!busy.has(socket)) socket.destroy();
	}, UNUSED_GRACE_MS);
	await closed;
	clearInterval(sweep);
}

// The proxy in front closes its WebSockets with a code of its own choice; what it leaves is closed here.
async function finishWebSockets() {
	for (let waited = 0; sockets.clients.size > 0 && waited < WS_GRACE_MS; waited += 50) await sleep(50);
	for (const client of sockets.clients) client.close(1001, 'going away');
	for (let waited = 0; sockets.clients.size > 0 && waited < 1000; waited += 50) await sleep(50);
	for (const client of sockets.clients) client.terminate();
}

async function main() {
	server.listen(PORT, HOST);
	await once(server, 'listening');
	const { address, port } = server.address();
	log.info(`listening on http://${address.includes(':') ? `[${address}]` : address}:${port}`, { host: address, port });
	notify({ READY: 1, STATUS: `listening on port ${port}` });
	heartbeat();
	const listening = listen(env.text('DATABASE_URL'), 'api-listen', 'valuations', {
		signal: stop,
		onListening: catchUp,
		onMessage: (payload) => deliver(JSON.parse(payload)),
	});
	if (!stop.aborted) await once(stop, 'abort');
	notify({ STOPPING: 1 });
	await Promise.all([finishRequests(), finishWebSockets()]);
	await within(1000, 'leaving the database', Promise.all([db.end(), listening])).catch(() => {});
	log.info('stopped');
}

main().then(
	() => process.exit(0),
	(err) => {
		log.error(`the API ended: ${log.reason(err)}`);
		process.exit(1);
	},
);
