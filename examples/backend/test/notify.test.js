'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { spawnSync } = require('node:child_process');

// Node cannot receive Unix datagrams either, so the senders are stand-ins that write down what they were told.
function told(senders) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'notify-test-'));
	try {
		for (const name of senders)
			fs.writeFileSync(path.join(dir, name), `#!/bin/sh\nprintf '%s|' ${name} "$@" >>${dir}/told\n`, { mode: 0o755 });
		const script = `
			const { notify } = require(${JSON.stringify(path.resolve(__dirname, '../lib/notify'))});
			notify({ READY: 1, STATUS: 'one' });
			notify({ STATUS: 'two' });
			notify({ STATUS: 'line\\nbreak', X_PROGRESS: 3 }).then(() => notify({ STOPPING: 1 }));`;
		const env = { PATH: dir, NOTIFY_SOCKET: '/somewhere' };
		const run = spawnSync(process.execPath, ['-e', script], { env, encoding: 'utf8' });
		assert.equal(run.status, 0, run.stderr);
		return fs.existsSync(path.join(dir, 'told')) ? fs.readFileSync(path.join(dir, 'told'), 'utf8') : '';
	} finally {
		fs.rmSync(dir, { recursive: true });
	}
}

test('notifications that come while one is sent are sent as one, the last value of each field', () => {
	assert.equal(
		told(['systemd-notify']),
		'systemd-notify|--no-block|READY=1|STATUS=one|' +
			'systemd-notify|--no-block|STATUS=line break|X_PROGRESS=3|' +
			'systemd-notify|--no-block|STOPPING=1|',
	);
});

test('perl sends them where systemd-notify is not installed', () => {
	const calls = told(['perl']).split('perl|').slice(1);
	assert.equal(calls.length, 3);
	assert.ok(calls[0].endsWith('|/somewhere|READY=1|STATUS=one|'), calls[0]);
});

test('without any sender the program goes on', () => {
	assert.equal(told([]), '');
});
