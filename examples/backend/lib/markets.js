'use strict';

// The markets and their rates. Rates follow utilisation along the curve that Morpho's AdaptiveCurveIRM uses: 4 times
// steeper above the target than below.

const MARKETS = [
	{ id: 'wsteth-weth', collateral: 'wstETH', loan: 'WETH', lltv: 0.945, target_rate: 0.024, price: 1.1842 },
	{ id: 'weth-usdc', collateral: 'WETH', loan: 'USDC', lltv: 0.86, target_rate: 0.062, price: 3184.25 },
	{ id: 'wbtc-usdc', collateral: 'WBTC', loan: 'USDC', lltv: 0.86, target_rate: 0.055, price: 96410.5 },
	{ id: 'cbbtc-usdc', collateral: 'cbBTC', loan: 'USDC', lltv: 0.86, target_rate: 0.051, price: 96388.75 },
	{ id: 'susde-dai', collateral: 'sUSDe', loan: 'DAI', lltv: 0.915, target_rate: 0.094, price: 1.1637 },
	{ id: 'wsteth-usdt', collateral: 'wstETH', loan: 'USDT', lltv: 0.86, target_rate: 0.058, price: 3771.4 },
];

const TARGET = 0.9;
const STEEPNESS = 4;

function borrowRate(utilisation, targetRate) {
	const error = utilisation > TARGET ? (utilisation - TARGET) / (1 - TARGET) : (utilisation - TARGET) / TARGET;
	const slope = error > 0 ? STEEPNESS - 1 : 1 - 1 / STEEPNESS;
	return targetRate * (slope * error + 1);
}

// A block's payload names the utilisation of each market and how far its price is from the usual one.
function rates(payload) {
	return MARKETS.map((market) => {
		const utilisation = payload.utilisation[market.id];
		const borrow_apy = Math.expm1(borrowRate(utilisation, market.target_rate));
		return {
			id: market.id,
			collateral: market.collateral,
			loan: market.loan,
			lltv: market.lltv,
			utilisation,
			borrow_apy,
			supply_apy: borrow_apy * utilisation,
			price: market.price * payload.price_factor[market.id],
		};
	});
}

module.exports = { MARKETS, borrowRate, rates };
