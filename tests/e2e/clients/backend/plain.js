'use strict';

const { Session } = require('./session');

// JSON texts and nothing else.
function serve(door) {
	door.on('connection', (ws) => {
		const session = new Session('plain', (message) => ws.send(JSON.stringify(message)));
		session.watch(ws);
		ws.on('message', (data) => session.send(session.hears(JSON.parse(data))));
		session.start();
	});
}

module.exports = { serve };
