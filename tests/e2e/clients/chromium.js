'use strict';

// Chromium on page.html, which is fetched through the gateway; the page reports to a little server here.
//   chromium.js URL BROWSER PROFILE

const { spawn } = require('node:child_process');
const http = require('node:http');

const [url, browser, profile] = process.argv.slice(2);
const ARGS = [
	'--headless',
	'--disable-gpu',
	'--disable-dev-shm-usage',
	'--disable-breakpad',
	'--disable-background-networking',
	'--no-first-run',
	'--remote-debugging-pipe',
	`--user-data-dir=${profile}`,
	...(process.getuid() === 0 ? ['--no-sandbox'] : []),
];
let ended = false;
let waiting;

const server = http.createServer((request, response) => {
	response.setHeader('Access-Control-Allow-Origin', '*');
	if (request.url === '/end') {
		waiting = response;
		if (ended) response.end();
		return;
	}
	let text = '';
	request.on('data', (part) => (text += part));
	request.on('end', () => {
		response.end();
		process.stdout.write(text + '\n');
		if (JSON.parse(text).event === 'end') quit();
	});
});

let chromium;
function quit() {
	chromium.once('exit', () => process.exit(0));
	chromium.stdio[3].destroy();
}

server.listen(0, '127.0.0.1', () => {
	const reports = `http://127.0.0.1:${server.address().port}`;
	const page = `${url}/page.html?reports=${encodeURIComponent(reports)}`;
	// Chromium ends when its control pipe does, and so with this program. A signal would reach only Debian's script before it.
	chromium = spawn(browser, [...ARGS, page], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
});
process.stdin.on('end', () => {
	ended = true;
	waiting?.end();
});
process.stdin.resume();
