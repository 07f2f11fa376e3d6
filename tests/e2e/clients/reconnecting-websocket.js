'use strict';

const ReconnectingWebSocket = require('reconnecting-websocket');
const { program, told, websocket } = require('./program');

program((url, talk) => {
	const socket = new ReconnectingWebSocket(websocket(url, '/ws'), [], { WebSocket: told(talk) });
	socket.addEventListener('open', () => talk.begins());
	socket.addEventListener('message', (event) => talk.heard(JSON.parse(event.data)));
	return {
		say: (message) => socket.readyState === socket.OPEN && (socket.send(JSON.stringify(message)), true),
		finish: () =>
			new Promise((done) => {
				socket.addEventListener('close', done);
				socket.close(1000);
			}),
	};
});
