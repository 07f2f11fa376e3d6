'use strict';

const { Session } = require('./session');

// Phoenix channels, version 2 of their JSON: [join_ref, ref, topic, event, payload]. There is no such server for Node.js,
// and these are the messages that one client needs.
function serve(door) {
	door.on('connection', (ws) => {
		let joined;
		const write = (...message) => ws.send(JSON.stringify(message));
		const session = new Session('phoenix', (message) => write(null, null, joined, 'tick', message));
		session.watch(ws);
		ws.on('message', (data) => {
			const [join_ref, ref, topic, event, payload] = JSON.parse(data);
			const reply = (response) => write(join_ref, ref, topic, 'phx_reply', { status: 'ok', response });
			if (event === 'say') {
				reply(session.hears(payload));
				return;
			}
			reply({});
			if (event === 'phx_join') {
				joined = topic;
				session.start();
			}
		});
	});
}

module.exports = { serve };
