'use strict';

// The page of markets. The server sends an empty table; the script fills it, so a scraper needs a real browser.
module.exports = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Markets</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #15181e; background: #f7f8fa; }
h1 { font-size: 1.4rem; margin-bottom: 0; }
p { color: #5a6372; margin-top: .2rem; }
table { border-collapse: collapse; width: 100%; background: #fff; border: 1px solid #dfe3ea; }
th, td { padding: .5rem .8rem; text-align: right; border-bottom: 1px solid #edf0f4; font-variant-numeric: tabular-nums; }
th { font-weight: 600; color: #5a6372; }
th:first-child, td:first-child { text-align: left; }
</style>
</head>
<body>
<h1>Markets</h1>
<p id="block">Waiting for the first block</p>
<table id="markets">
<thead><tr><th>Market</th><th>LLTV</th><th>Utilisation</th><th>Supply APY</th><th>Borrow APY</th><th>Price</th></tr></thead>
<tbody></tbody>
</table>
<script>
const percent = (n) => (n * 100).toFixed(4) + '%';
const money = (n) => n.toLocaleString('en-US', { minimumFractionDigits: 4, maximumFractionDigits: 4 });
function row(market) {
	const tr = document.createElement('tr');
	tr.dataset.market = market.id;
	const cells = [market.collateral + ' / ' + market.loan, percent(market.lltv), percent(market.utilisation),
		percent(market.supply_apy), percent(market.borrow_apy), money(market.price) + ' ' + market.loan];
	for (const text of cells) tr.insertCell().textContent = text;
	return tr;
}
async function refresh() {
	try {
		const answer = await fetch('/api/markets', { cache: 'no-store' });
		const { height, markets } = await answer.json();
		if (answer.ok && markets.length > 0) {
			document.querySelector('#markets tbody').replaceChildren(...markets.map(row));
			document.querySelector('#block').textContent = 'Rates at block ' + height.toLocaleString('en-US');
			document.body.dataset.height = height;
		}
	} catch { /* the next round shows it */ }
	setTimeout(refresh, 1000);
}
refresh();
</script>
</body>
</html>
`;
