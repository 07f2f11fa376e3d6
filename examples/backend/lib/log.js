'use strict';

// One JSON object a line on stdout. No time stamp: whoever collects the lines (podvisor, a container runtime) adds its own.

function write(level, msg, fields) {
	process.stdout.write(JSON.stringify({ level, msg, ...fields }) + '\n');
}

// What a person needs from an error; never the connection string, which may hold a password.
function reason(err) {
	if (err instanceof AggregateError) // Node gives one for a host name with several addresses
		return err.errors.map(reason).join('; ');
	const text = err.message || err.name || 'unknown error';
	return err.code && !text.includes(err.code) ? `${text} (${err.code})` : text;
}

module.exports = {
	debug: (msg, fields) => process.env.DEBUG && write('debug', msg, fields),
	info: (msg, fields) => write('info', msg, fields),
	warn: (msg, fields) => write('warn', msg, fields),
	error: (msg, fields) => write('error', msg, fields),
	reason,
};
