'use strict';

const { Client, Pool } = require('pg');
const { sleep, backoff } = require('./life');
const log = require('./log');

const COMMON = { keepAlive: true, connectionTimeoutMillis: 2000, query_timeout: 10000 };

// A client whose loss is told by lost(err), once. pg emits 'error' and then 'end', or 'end' alone.
async function connect(url, name, lost) {
	const client = new Client({ ...COMMON, connectionString: url, application_name: name });
	let live = false;
	const tell = (err) => {
		if (live) lost(err);
		live = false;
	};
	client.on('error', tell);
	client.on('end', () => tell(new Error('the server closed the connection')));
	try {
		await client.connect();
		live = true;
	} catch (err) {
		client.end().catch(() => {});
		throw err;
	}
	client.bye = () => {
		live = false;
		return client.end();
	};
	return client;
}

// Tries for patienceMs: a database that restarts is back within seconds, and an exit for each refused connection would
// only use up the supervisor's restart limit. Returns null when the signal fires first.
async function connectPatiently(url, name, { patienceMs, signal, lost }) {
	const giveUpAt = Date.now() + patienceMs;
	for (let attempt = 0; !signal.aborted; attempt++) {
		try {
			return await connect(url, name, lost);
		} catch (err) {
			const pause = backoff(attempt, { first: 200, last: 2000 });
			if (Date.now() + pause > giveUpAt) throw err;
			log.warn(`no connection to the database yet: ${log.reason(err)}`, { retry_ms: pause });
			await sleep(pause, signal);
		}
	}
	return null;
}

function pool(url, name, options) {
	const made = new Pool({ ...COMMON, connectionString: url, application_name: name, ...options });
	// An idle connection that breaks is reported here; without a listener it would end the process.
	made.on('error', (err) => log.warn(`an idle database connection was lost: ${log.reason(err)}`));
	return made;
}

// Keeps LISTEN alive across restarts of the server until the signal fires. onListening() runs after each (re)connection,
// with the client, so that the caller can fetch what it missed; messages that come meanwhile are held back until then.
async function listen(url, name, channel, { signal, onListening, onMessage }) {
	for (let attempt = 0; !signal.aborted; ) {
		let client;
		try {
			let drop;
			const gone = new Promise((resolve) => (drop = resolve));
			client = await connect(url, name, drop);
			let held = [];
			client.on('notification', ({ payload }) => (held ? held.push(payload) : onMessage(payload)));
			await client.query(`listen ${client.escapeIdentifier(channel)}`);
			await onListening(client);
			held.forEach((payload) => onMessage(payload));
			held = null;
			attempt = 0;
			const err = await idle(client, gone, signal);
			if (err) throw err;
		} catch (err) {
			const pause = backoff(attempt++);
			log.warn(`LISTEN ${channel} was lost: ${log.reason(err)}`, { retry_ms: pause });
			await sleep(pause, signal);
		} finally {
			client?.bye().catch(() => {});
		}
	}
}

// A server that vanished without a FIN is only noticed by asking it something.
async function idle(client, gone, signal) {
	while (!signal.aborted) {
		const nap = new AbortController();
		const wake = () => nap.abort();
		signal.addEventListener('abort', wake);
		const err = await Promise.race([gone, sleep(15000, nap.signal)]);
		nap.abort();
		signal.removeEventListener('abort', wake);
		if (err) return err;
		if (!signal.aborted) await client.query('select 1');
	}
	return null;
}

module.exports = { connect, connectPatiently, pool, listen };
