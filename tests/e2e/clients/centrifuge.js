'use strict';

const { Centrifuge } = require('centrifuge');
const { program, told, websocket } = require('./program');

program((url, talk) => {
	const centrifuge = new Centrifuge(websocket(url, '/connection/websocket'), { websocket: told(talk) });
	const subscription = centrifuge.newSubscription('ticks');
	subscription.on('publication', ({ data }) => talk.heard(data));
	subscription.on('subscribed', () => talk.begins());
	subscription.on('error', ({ error }) => talk.failed(error));
	centrifuge.on('error', ({ error }) => talk.failed(error));
	subscription.subscribe();
	centrifuge.connect();
	const say = (message) =>
		centrifuge.rpc('say', message).then(
			({ data }) => talk.heard(data),
			() => {}, // the connection has ended before its answer
		);
	return {
		say: (message) => centrifuge.state === 'connected' && (say(message), true),
		finish: () =>
			new Promise((done) => {
				centrifuge.on('disconnected', done);
				centrifuge.disconnect();
			}),
	};
});
