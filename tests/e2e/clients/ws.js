'use strict';

const { program, told, websocket } = require('./program');

// ws never reconnects by itself: the two lines at the end are the user's.
program((url, talk) => {
	const Socket = told(talk);
	let socket;
	let ending;
	function connect() {
		socket = new Socket(websocket(url, '/ws'));
		socket.on('open', () => talk.begins());
		socket.on('message', (data) => talk.heard(JSON.parse(data)));
		socket.on('error', () => {});
		socket.on('close', () => ending || setTimeout(connect, 100 + Math.random() * 900));
	}
	connect();
	return {
		say: (message) => socket.readyState === Socket.OPEN && (socket.send(JSON.stringify(message)), true),
		finish: () =>
			new Promise((done) => {
				ending = true;
				socket.on('close', done);
				socket.close(1000);
			}),
	};
});
