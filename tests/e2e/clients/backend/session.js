'use strict';

// One connection as the backend sees it: ticks with numbers, answers to what it hears, and at the end an account of both.

const PACE_MS = 25;
const PADDING = 'x'.repeat(2000);

const tell = (fact) => process.stdout.write(JSON.stringify(fact) + '\n');

class Session {
	// send(message) sends one; a protocol that answers by its own means needs none.
	constructor(protocol, send) {
		this.protocol = protocol;
		this.send = send;
		this.ticks = this.heard = this.text_in = this.text_out = 0;
		this.in_order = true;
	}

	next_tick() {
		return { tick: ++this.ticks, padding: PADDING };
	}

	// What is sent behind the Close goes nowhere, and is not counted as said.
	is_open() {
		return this.ws.readyState === this.ws.OPEN;
	}

	start() {
		this.pacer = setInterval(() => this.is_open() && this.send(this.next_tick()), PACE_MS);
	}

	hears({ say }) {
		this.in_order &&= say === this.heard + 1;
		this.heard++;
		return { answer: say };
	}

	// The WebSocket below, of the package ws: its extensions, its bytes with and without them, and its end.
	watch(ws) {
		this.ws = ws;
		const raw = ws._socket;
		const send = ws.send;
		ws.send = (data, ...rest) => {
			this.text_out += Buffer.byteLength(data);
			return send.call(ws, data, ...rest);
		};
		ws.on('message', (data) => (this.text_in += data.length));
		tell({ msg: 'open', protocol: this.protocol, extensions: ws.extensions, subprotocol: ws.protocol });
		ws.on('close', (code) => {
			clearInterval(this.pacer);
			const { protocol, ticks, heard, in_order, text_in, text_out } = this;
			const wire = { wire_in: raw.bytesRead, wire_out: raw.bytesWritten };
			tell({ msg: 'closed', protocol, code, ticks, heard, in_order, text_in, text_out, ...wire });
		});
	}
}

module.exports = { Session, PACE_MS };
