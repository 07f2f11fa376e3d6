'use strict';

const { createClient } = require('graphql-ws');
const { program, told, websocket } = require('./program');

const SAY = 'query Say($n: Int!, $padding: String!) { say(n: $n, padding: $padding) }';

program((url, talk) => {
	const Socket = told(talk);
	const client = createClient({ url: websocket(url, '/graphql'), webSocketImpl: Socket });
	let open;
	let gone = () => {};
	client.on('connected', (socket) => {
		open = socket;
		talk.begins();
	});
	// What has no answer when the connection ends would be asked again on the next one; it has numbers of its own.
	const unanswered = new Set();
	client.on('closed', () => {
		for (const forget of unanswered) forget();
		gone();
	});
	const ask = (message) => {
		const forget = client.subscribe(
			{ query: SAY, variables: { n: message.say, padding: message.padding } },
			{
				next: ({ data }) => talk.heard({ answer: data.say }),
				error: (error) => talk.failed(error),
				complete: () => unanswered.delete(forget),
			},
		);
		unanswered.add(forget);
	};
	client.subscribe(
		{ query: 'subscription { tick { n padding } }' },
		{ next: ({ data }) => talk.heard({ tick: data.tick.n }), error: (error) => talk.failed(error), complete: () => {} },
	);
	return {
		say: (message) => open?.readyState === Socket.OPEN && (ask(message), true),
		finish: () =>
			new Promise((done) => {
				gone = done;
				client.dispose();
			}),
	};
});
