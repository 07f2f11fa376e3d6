'use strict';

const { spawn } = require('node:child_process');

// sd_notify(3) for Node, which has no Unix datagram sockets: a small program sends the message. systemd-notify where it
// is installed, else perl, which every Debian has. Without NOTIFY_SOCKET all of this does nothing.

const PERL = `
use Socket;
my $path = shift; $path =~ s/^@/\\0/;
socket(my $s, PF_UNIX, SOCK_DGRAM, 0) or exit 1;
send($s, join("\\n", @ARGV), 0, sockaddr_un($path)) or exit 1;
`;

const SENDERS = [
	(lines) => ['systemd-notify', ['--no-block', ...lines]],
	(lines) => ['perl', ['-e', PERL, process.env.NOTIFY_SOCKET, ...lines]],
];

let sender = 0;
let running = null; // the message under way
let next = null; // fields to send after it; a later value of a field replaces an earlier one

function run([command, args]) {
	return new Promise((resolve) => {
		const child = spawn(command, args, { stdio: 'ignore' });
		child.on('error', (err) => resolve(err.code));
		child.on('exit', (code) => resolve(code));
	});
}

async function send(fields) {
	const lines = Object.entries(fields).map(([name, value]) => `${name}=${String(value).replace(/\n/g, ' ')}`);
	while (sender < SENDERS.length) {
		if ((await run(SENDERS[sender](lines))) !== 'ENOENT') return;
		sender++; // not installed: never try it again
	}
}

async function drain() {
	while (next) {
		const fields = next;
		next = null;
		await send(fields);
	}
	running = null;
}

// notify({ READY: 1, STATUS: 'indexing' }): resolves when it was sent. At most one sender runs at a time.
function notify(fields) {
	if (!process.env.NOTIFY_SOCKET) return Promise.resolve();
	next = { ...next, ...fields };
	running ??= drain();
	return running;
}

module.exports = { notify };
