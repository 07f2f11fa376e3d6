'use strict';

// From the text that the page shows to numbers. Strict: a page whose layout changed must fail here, not fill the
// database with nonsense.

function percent(text) {
	const found = /^(-?[0-9]+(?:\.[0-9]+)?)%$/.exec(text.trim());
	if (!found) throw new Error(`"${text}" is not a percentage`);
	return Number((Number(found[1]) / 100).toFixed(8));
}

function price(text) {
	const found = /^([0-9]{1,3}(?:,[0-9]{3})*(?:\.[0-9]+)?) [A-Za-z0-9.]+$/.exec(text.trim());
	if (!found) throw new Error(`"${text}" is not a price`);
	return Number(found[1].replaceAll(',', ''));
}

function height(text) {
	if (!/^[0-9]+$/.test(text ?? '')) throw new Error(`"${text}" is not a block height`);
	return Number(text);
}

// scraped: { height, rows: [{ market, cells: [six texts] }] }, as the browser read them.
function valuations(scraped) {
	if (scraped.rows.length === 0) throw new Error('the page shows no markets');
	const block_height = height(scraped.height);
	return scraped.rows.map(({ market, cells }) => {
		if (!market || cells.length !== 6)
			throw new Error(`a row of ${cells.length} cells for "${market}": the page's layout has changed`);
		return { market, apy: percent(cells[3]), borrow_apy: percent(cells[4]), price: price(cells[5]), block_height };
	});
}

module.exports = { percent, price, height, valuations };
