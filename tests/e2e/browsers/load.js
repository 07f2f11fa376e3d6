'use strict';

// node load.js URL ENDPOINT LIBRARY: connects, opens a page, reads it, closes, again and again until stdin ends.
// Each round is told on stdout as a JSON line, with what went wrong in it if anything did.

const puppeteer = require('puppeteer-core');
const { chromium } = require('playwright-core');

const [url, endpoint, library] = process.argv.slice(2);
const PAGE = (n) => `data:text/html,<title>${n}</title><h1>round ${n}</h1>`;
const tell = (fact) => process.stdout.write(JSON.stringify(fact) + '\n');

// Connected by turns as people do: by the address, and by what /json/version once named.
const rounds = {
	async puppeteer(n) {
		const browser = await puppeteer.connect(n % 2 ? { browserURL: url } : { browserWSEndpoint: endpoint });
		const context = n % 3 ? browser : await browser.createBrowserContext();
		const page = await context.newPage();
		await page.goto(PAGE(n));
		const text = await page.$eval('h1', (h) => h.textContent);
		if (n % 5) await page.close();
		await browser.close(); // which ends this session only
		return text;
	},
	async playwright(n) {
		const browser = await chromium.connectOverCDP(n % 2 ? url : endpoint);
		const context = n % 3 ? browser.contexts()[0] : await browser.newContext();
		const page = await context.newPage();
		await page.goto(PAGE(n));
		const text = await page.textContent('h1');
		await page.close();
		await browser.close();
		return text;
	},
};

(async () => {
	let ending = false;
	process.stdin.on('end', () => (ending = true));
	process.stdin.resume();
	for (let n = 1; !ending; n++) {
		const began = Date.now();
		let error;
		try {
			const text = await rounds[library](n);
			if (text !== `round ${n}`) error = `read ${text}`;
		} catch (e) {
			error = String(e.stack ?? e);
		}
		tell({ n, ms: Date.now() - began, ...(error && { error }) });
	}
	process.exit(0);
})();
