'use strict';

// The fence of a lease. podvisor gives a worker that runs under one the lease's name and the token of the grant; the row
// of that name and token is there only as long as no other replica was granted it. Locked FOR KEY SHARE, it makes the next
// holder wait for this transaction, and holds up no renewal. Without a lease there is no fence.

const LEASE = process.env.PODVISOR_LEASE;
const TOKEN = process.env.PODVISOR_FENCING_TOKEN;
const FENCE = 'select 1 from podvisor.lease where name = $1 and token = $2 for key share';

class FenceError extends Error {}

// Runs write(client) in a transaction of its own, behind the fence.
async function fenced(pool, write, { lease = LEASE, token = TOKEN } = {}) {
	const client = await pool.connect();
	try {
		await client.query('begin');
		if (lease && (await client.query(FENCE, [lease, token])).rowCount === 0)
			throw new FenceError(`the lease ${lease} was granted to another (this one's token is ${token})`);
		const result = await write(client);
		await client.query('commit');
		client.release();
		return result;
	} catch (err) {
		client.release(true); // whatever the transaction was at ends with the session
		throw err;
	}
}

module.exports = { fenced, FenceError };
