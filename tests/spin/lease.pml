/* The protocol of leases (supervisor/model/lease.c), small enough to be checked to completion: two replicas, one row, time
 * in ticks, a term of TTL ticks. A request is sent, carried out and answered in three steps, each of them as late as it
 * likes, its answer perhaps lost; with LATE, a release may be carried out long after its sender gave it up. With FAILOVER, one
 * may lose every write since the standby's copy, at any time.
 *
 * Asserted wherever a worker starts: no other runs (I1), and its token is greater than any before (I2).
 *
 * Left out: clocks that run at different rates (the margin between kill_at and ttl; tests/sim has them), hints (they
 * change what is expected, which is compared), a third replica.
 *
 * Each of these, defined, is a mistake that must be found: RECEIPT, SENT, EARLY, UNCOMPARED, SERVER_CLOCK; and with
 * FAILOVER: NAME_ONLY, NEW_TIMELINE, SEEN_AGAIN. tests/spin/run knows the bounds. */
#ifndef TTL
#define TTL 2
#endif
#ifndef END
#define END 5
#endif

/* Bounds on grants and on writes, or there would be no end of them within a tick. */
#ifndef GRANTS
#define GRANTS 3
#endif
#ifndef WRITES
#define WRITES 6
#endif

#define FREE 0

byte now;

/* The row, and the history that it lives in. granted: on which timeline it was granted last. */
byte token, seq, holder, granted = 1, line = 1;
#ifdef FAILOVER
byte old_token, old_seq, old_holder, old_granted = 1;
#endif
#ifdef SERVER_CLOCK
byte renewed, leap;
#endif

bool runs[3]; /* the worker of a replica */
byte deadline[3]; /* its shim kills it then */
byte last_token, last_line; /* of the newest worker */
#ifdef LATE
bool late[3]; /* a release that is still on its way, of this grant: */
byte late_token[3], late_line[3];
#endif

#define IS_MINE(me, t, l) (holder == me && token == t && granted == l)

#ifdef NEW_TIMELINE
#define IS_OPEN true
#else
#define IS_OPEN (granted_seen == line_seen || now >= first_sight + TTL)
#endif

/* The same counter can be granted again, to the same replica, after a failover has lost it. */
#ifdef SEEN_AGAIN
#define IS_REGRANTED false
#else
#define IS_REGRANTED (g != granted_seen)
#endif

#ifdef SERVER_CLOCK
#define IS_OVER true
#else
#define IS_OVER (now >= seen_at + TTL)
#endif

inline start(me, t, l)
{
	assert(!runs[3 - me]);
	assert(l > last_line || (l == last_line && t > last_token));
	runs[me] = true;
	last_line = l;
	last_token = t;
}

inline stop(me)
{
	runs[me] = false;
	deadline[me] = 0;
}

inline release(me, t, l)
{
	if
	:: IS_MINE(me, t, l) -> holder = FREE; seq++
	:: else
	fi
}

proctype Replica(byte me)
{
	bool known, held, ok;
	byte token_seen, seq_seen, holder_seen, granted_seen, line_seen, seen_at, first_sight;
	byte sent, my_token, my_line;
	byte t, s, h, g, l; /* an answer on its way */
	do
	/* ---- observe ---- */
#ifdef SENT
	:: atomic { !held && now < END -> sent = now };
		atomic { t = token; s = seq; h = holder; g = granted; l = line };
#else
	/* When it was sent is of no account, so it is read at once. */
	:: atomic { !held && now < END -> t = token; s = seq; h = holder; g = granted; l = line };
#endif
		atomic {
			if
			:: !known || t != token_seen || s != seq_seen || h != holder_seen || IS_REGRANTED ->
#ifdef SENT
				seen_at = sent
#else
				seen_at = now
#endif
			:: else
			fi;
			if
			:: l > line_seen -> line_seen = l; first_sight = now
			:: else
			fi;
			if
			:: l == line_seen -> known = true; token_seen = t; seq_seen = s; holder_seen = h; granted_seen = g
			:: else /* of a server that was replaced: nothing in it is believed */
			fi;
			t = 0; s = 0; h = 0; g = 0; l = 0; sent = 0
		}
	/* ---- acquire ---- */
	:: atomic { !held && known && now < END && token < GRANTS && IS_OPEN &&
			(holder_seen == FREE || holder_seen == me || IS_OVER) -> sent = now };
		atomic {
#ifdef UNCOMPARED
			ok = (line == line_seen);
#else
			ok = (token == token_seen && seq == seq_seen && holder == holder_seen && line == line_seen);
#endif
#ifdef SERVER_CLOCK
			ok = ok && (holder == FREE || holder == me || now + leap >= renewed + TTL);
#endif
			if
			:: ok -> token++; seq++; holder = me; granted = line; my_token = token; my_line = line;
#ifdef SERVER_CLOCK
				renewed = now + leap;
#endif
			:: else
			fi
		};
		atomic {
			known = false; token_seen = 0; seq_seen = 0; holder_seen = 0; granted_seen = 0; seen_at = 0;
#ifdef RECEIPT
			sent = now;
#endif
			if
			:: ok && now < sent + TTL -> held = true; deadline[me] = sent + TTL; start(me, my_token, my_line)
			:: my_token = 0; my_line = 0 /* no answer, or none that is any use */
			fi;
			ok = false; sent = 0
		}
	/* ---- renew ---- */
	:: atomic { held && runs[me] && now < END && seq < WRITES -> sent = now };
		atomic {
#ifdef NAME_ONLY
			ok = true;
#else
			ok = IS_MINE(me, my_token, my_line);
#endif
			if
			:: ok -> seq++;
#ifdef SERVER_CLOCK
				renewed = now + leap;
#endif
			:: else
			fi
		};
		atomic {
#ifdef RECEIPT
			sent = now;
#endif
			if
			:: ok && runs[me] && now < sent + TTL -> deadline[me] = sent + TTL
			:: !ok -> stop(me)
			:: true /* no answer */
			fi;
			ok = false; sent = 0
		}
	/* ---- stop, and release when the worker is gone ---- */
	:: atomic { held ->
#ifndef EARLY
			stop(me);
#endif
#ifdef LATE
			if
			:: true
			:: !late[me] -> late[me] = true; late_token[me] = my_token; late_line[me] = my_line; my_token = 0
			fi
#else
			skip
#endif
		};
		atomic {
			if
			:: my_token -> release(me, my_token, my_line)
			:: else
			fi
		};
		atomic { stop(me); held = false; my_token = 0; my_line = 0 }
	:: atomic { now == END && !held -> break }
	od
}

active proctype World()
{
	do
	/* The shims, on time whatever their replica does. */
	:: atomic { now < END -> now++;
		if
		:: runs[1] && now >= deadline[1] -> stop(1)
		:: else
		fi;
		if
		:: runs[2] && now >= deadline[2] -> stop(2)
		:: else
		fi }
#ifdef LATE
	:: atomic { late[1] -> late[1] = false; release(1, late_token[1], late_line[1]); late_token[1] = 0; late_line[1] = 0 }
	:: atomic { late[2] -> late[2] = false; release(2, late_token[2], late_line[2]); late_token[2] = 0; late_line[2] = 0 }
	:: atomic { now == END && !late[1] && !late[2] -> break }
#else
	:: atomic { now == END -> break }
#endif
	od
}

#ifdef SERVER_CLOCK
active proctype Leap()
{
	leap = 2
}
#endif

#ifdef FAILOVER
active proctype Failover()
{
	atomic { old_token = token; old_seq = seq; old_holder = holder; old_granted = granted };
	atomic { token = old_token; seq = old_seq; holder = old_holder; granted = old_granted; line = 2;
		old_token = 0; old_seq = 0; old_holder = 0; old_granted = 0 }
}
#endif

init
{
	atomic { run Replica(1); run Replica(2) }
}
