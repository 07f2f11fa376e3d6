'use strict';

// What the client programs have in common: a Conversation told on stdout, and the end when stdin ends.

const WebSocket = require('ws');
const { Conversation } = require('./conversation');

const tell = (fact) => process.stdout.write(JSON.stringify(fact) + '\n');

const websocket = (url, path) => `${url.replace(/^http/, 'ws')}${path}`;

// run(url, talk) gives { say, finish }: how to send a message, and how to say goodbye, a promise.
function program(run) {
	const talk = new Conversation(tell, (message) => client.say(message));
	const client = run(process.argv[2], talk);
	process.stdin.on('end', async () => {
		talk.falls_silent();
		await client.finish();
		tell({ event: 'end' });
		process.exit(0);
	});
	process.stdin.resume();
}

// ws itself, for libraries that take any WebSocket: tells what happens on the wire below them.
function told(talk) {
	return class Told extends WebSocket {
		constructor(...words) {
			super(...words);
			talk.dialled();
			this.on('open', () => talk.opened(this.extensions, this.protocol));
			this.on('close', (code, reason) => talk.closed(code, String(reason)));
			this.on('error', (error) => talk.failed(error));
		}
	};
}

module.exports = { program, told, websocket };
