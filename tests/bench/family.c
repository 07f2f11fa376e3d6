/* family FIFO COUNT: COUNT children, each in a session of its own and deaf to
 * SIGTERM, stamped one by one; then it waits. */
#include <signal.h>

#include "stamp.h"

#define LIFE_S 300

int main(int argc, char **argv)
{
	if (argc < 3)
		return 64;
	signal(SIGTERM, SIG_IGN);
	stamp_live_at_most(LIFE_S);
	for (int i = atoi(argv[2]); i > 0; i--)
		if (fork() == 0) {
			setsid();
			stamp_live_at_most(LIFE_S);
			stamp_write(argv[1], STAMP_DAEMON);
			for (;;)
				pause();
		}
	stamp_write(argv[1], STAMP_WORKER);
	for (;;)
		pause();
}
