'use strict';

const { Socket } = require('phoenix');
const { program, told, websocket } = require('./program');

program((url, talk) => {
	const socket = new Socket(websocket(url, '/socket'), { transport: told(talk) });
	const channel = socket.channel('room:clients');
	channel.on('tick', (message) => talk.heard(message));
	channel
		.join()
		.receive('ok', () => talk.begins()) // again after each rejoin
		.receive('error', (error) => talk.failed(JSON.stringify(error)));
	socket.connect();
	const say = (message) => channel.push('say', message).receive('ok', (answer) => talk.heard(answer));
	return {
		say: (message) => socket.isConnected() && channel.state === 'joined' && (say(message), true),
		finish: () => new Promise((done) => socket.disconnect(done, 1000)),
	};
});
