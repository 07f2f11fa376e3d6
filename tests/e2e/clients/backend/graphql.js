'use strict';

const { setTimeout: pause } = require('node:timers/promises');
const { buildSchema } = require('graphql');
const { handleProtocols } = require('graphql-ws');
const { useServer } = require('graphql-ws/use/ws');
const { Session, PACE_MS } = require('./session');

const schema = buildSchema(`
	type Tick { n: Int!, padding: String! }
	type Query { say(n: Int!, padding: String!): Int! }
	type Subscription { tick: Tick! }
`);

async function* ticks(session) {
	for (await pause(PACE_MS); session.is_open(); await pause(PACE_MS)) {
		const { tick, padding } = session.next_tick();
		yield { tick: { n: tick, padding } };
	}
}

// graphql-ws's own server. It pulls the ticks, so the session's own pacer rests.
function serve(door) {
	const sessions = new WeakMap();
	door.on('connection', (ws) => {
		const session = new Session('graphql-ws');
		session.watch(ws);
		sessions.set(ws, session);
	});
	useServer(
		{
			schema,
			context: ({ extra }) => sessions.get(extra.socket),
			roots: {
				query: { say: ({ n }, session) => session.hears({ say: n }).answer },
				subscription: { tick: (_, session) => ticks(session) },
			},
		},
		door,
	);
}

module.exports = { serve, subprotocol: handleProtocols };
