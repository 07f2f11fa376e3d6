'use strict';

const { io } = require('socket.io-client');
const { program } = require('./program');

// A second word names the transports; without it, as the library does it: polling first, then an upgrade.
program((url, talk) => {
	const transports = process.argv[3]?.split(',');
	const socket = io(url, transports ? { transports } : {});
	talk.dialled();
	const on_websocket = () => {
		const { extensions, protocol } = socket.io.engine.transport.ws;
		talk.opened(extensions, protocol);
		talk.begins();
	};
	socket.io.on('reconnect_attempt', () => talk.dialled());
	socket.io.on('reconnect_error', (error) => talk.failed(error));
	socket.on('connect_error', (error) => talk.failed(error));
	socket.on('connect', () => {
		const { engine } = socket.io;
		if (engine.transport.name === 'websocket') on_websocket();
		else engine.once('upgrade', on_websocket);
		// The socket's own "disconnect" comes later, and tells no code.
		engine.once('close', (reason, details) => talk.closed(details?.context?.code ?? 0, details?.context?.reason ?? reason));
	});
	socket.on('message', (message) => talk.heard(message));
	return {
		say: (message) => socket.connected && (socket.emit('message', message), true),
		finish: () =>
			new Promise((done) => {
				socket.io.engine.transport.ws.once('close', done); // the library itself is done earlier
				socket.disconnect();
			}),
	};
});
