'use strict';

const { Server } = require('socket.io');
const { Session } = require('./session');

// Socket.IO's own server, with the compression that it offers but leaves off by default.
function serve(server, perMessageDeflate) {
	const io = new Server(server, { perMessageDeflate, destroyUpgrade: false, serveClient: false });
	io.on('connection', (socket) => {
		const session = new Session('socket.io', (message) => socket.send(message));
		// The library counts a session as one, over polling and WebSocket; here it begins with the WebSocket.
		const begin = (transport) => {
			session.watch(transport.socket);
			session.start();
		};
		if (socket.conn.transport.name === 'websocket') begin(socket.conn.transport);
		else socket.conn.once('upgrade', begin);
		socket.on('message', (message) => socket.send(session.hears(message)));
	});
}

module.exports = { serve };
