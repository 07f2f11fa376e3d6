'use strict';

const { Session } = require('./session');

// Centrifuge's JSON protocol: commands with an id, one a line, are answered; pushes have none. There is no such server for
// Node.js, and these are the messages that one client needs.
function serve(door) {
	door.on('connection', (ws) => {
		const write = (message) => ws.send(JSON.stringify(message));
		const session = new Session('centrifuge', (data) => write({ push: { channel: 'ticks', pub: { data } } }));
		session.watch(ws);
		const commands = {
			connect: () => ({ client: 'one', version: 'test' }),
			subscribe: () => {
				setImmediate(() => session.start());
				return {};
			},
			rpc: ({ data }) => ({ data: session.hears(data) }),
		};
		ws.on('message', (text) => {
			for (const line of String(text).split('\n').filter(Boolean)) {
				const { id, ...command } = JSON.parse(line);
				const [name] = Object.keys(command);
				if (commands[name]) write({ id, [name]: commands[name](command[name]) });
			}
		});
	});
}

module.exports = { serve };
