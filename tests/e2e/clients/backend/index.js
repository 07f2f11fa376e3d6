'use strict';

// The worker behind the gateway: one HTTP server that speaks each protocol at a path of its own, and tells what it said
// and heard on each connection as JSON lines.
//   backend PORT

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { WebSocketServer } = require('ws');

const PROTOCOLS = {
	'/ws': require('./plain'),
	'/graphql': require('./graphql'),
	'/socket/websocket': require('./phoenix'),
	'/connection/websocket': require('./centrifuge'),
};
const FILES = { '/page.html': 'text/html', '/conversation.js': 'text/javascript' };

function answer(request, response) {
	const { pathname } = new URL(request.url, 'http://backend');
	const type = FILES[pathname];
	response.writeHead(type ? 200 : 404, { 'Content-Type': type ?? 'text/plain' });
	response.end(type ? fs.readFileSync(path.join(__dirname, '..', pathname)) : 'no such page\n');
}

const server = http.createServer();
const deflate = { threshold: 0 };
const doors = new Map(
	Object.entries(PROTOCOLS).map(([place, protocol]) => {
		const door = new WebSocketServer({ noServer: true, perMessageDeflate: deflate, handleProtocols: protocol.subprotocol });
		protocol.serve(door);
		return [place, door];
	}),
);
require('./socket.io').serve(server, deflate);
server.on('request', (request, response) => request.url.startsWith('/socket.io/') || answer(request, response));
server.on('upgrade', (request, socket, head) => {
	const { pathname } = new URL(request.url, 'http://backend');
	const door = doors.get(pathname);
	if (door) door.handleUpgrade(request, socket, head, (ws) => door.emit('connection', ws, request));
	else if (!pathname.startsWith('/socket.io/')) socket.destroy();
});
server.listen(Number(process.argv[2]), '127.0.0.1');
// It ends when nothing is left to do: what has just been closed may still be telling its account.
process.on('SIGTERM', () => {
	server.close();
	server.closeIdleConnections();
});
