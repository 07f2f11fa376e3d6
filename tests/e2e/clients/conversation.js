'use strict';

// What each client says and hears on a connection, told as one object per fact. Runs in Node.js and in a page.

const PACE_MS = 25;
const PADDING = 'y'.repeat(2000); // above the size from which every library compresses

class Conversation {
	// tell(fact) reports; say(message) sends and is false when the client knows that it cannot.
	constructor(tell, say) {
		this.tell = tell;
		this.say = say;
		this.connection = 0;
	}

	dialled() {
		this.tell({ event: 'dial' });
	}

	failed(error) {
		this.tell({ event: 'error', connection: this.connection, error: String(error?.message || error) });
	}

	opened(extensions, protocol) {
		this.connection++;
		this.said = 0;
		const back_ms = this.closed_at && Math.round(performance.now() - this.closed_at);
		this.tell({ event: 'open', connection: this.connection, extensions, protocol, back_ms });
	}

	// From here on the client may speak: it has joined, subscribed, whatever its protocol asks for.
	begins() {
		clearInterval(this.pacer);
		this.pacer = setInterval(() => {
			if (this.say({ say: this.said + 1, padding: PADDING }) !== false) this.said++;
		}, PACE_MS);
	}

	heard(message) {
		const [event, n] = 'tick' in message ? ['tick', message.tick] : ['answer', message.answer];
		this.tell({ event, connection: this.connection, n });
	}

	closed(code, reason) {
		clearInterval(this.pacer);
		this.closed_at = performance.now();
		this.tell({ event: 'close', connection: this.connection, code, reason, said: this.said });
	}

	falls_silent() {
		clearInterval(this.pacer);
	}
}

if (typeof module !== 'undefined') module.exports = { Conversation };
