/* orphans FIFO TOTAL BURST [stay]: makes TOTAL orphans, BURST of which end at the
 * same moment, and stamps when it has. stay: waits then, instead of ending. They
 * are in a session of their own, whoever starts this: where the scheduler groups
 * by session (sched(7), autogroup; not in a pod), an init in their session gets
 * its turn late, reaps many at once, and looks cheaper than it is. */
#include <string.h>
#include <sys/wait.h>

#include "stamp.h"

#define LIFE_S 300

/* The orphan ends when the last writer of the pipe is gone. */
static void make_orphan(int gate[2])
{
	pid_t parent = fork();
	if (parent < 0)
		_exit(99);
	if (parent == 0) {
		if (fork() != 0)
			_exit(0);
		char byte;
		close(gate[1]);
		_exit(read(gate[0], &byte, 1) != 0);
	}
	waitpid(parent, NULL, 0);
}

static void burst(int n)
{
	int gate[2];
	if (pipe2(gate, O_CLOEXEC) < 0)
		_exit(99);
	for (int i = 0; i < n; i++)
		make_orphan(gate);
	close(gate[1]);
	close(gate[0]);
}

static void make_all(const char *fifo, int total, int size)
{
	stamp_write(fifo, STAMP_BEGIN);
	for (int at = 0; at < total; at += size)
		burst(total - at < size ? total - at : size);
	stamp_write(fifo, STAMP_END);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 64;
	int total = atoi(argv[2]), size = atoi(argv[3]);
	stamp_live_at_most(LIFE_S);
	pid_t maker = fork();
	if (maker == 0) {
		setsid();
		stamp_live_at_most(LIFE_S);
		make_all(argv[1], total, size);
		return 0;
	}
	waitpid(maker, NULL, 0);
	while (argc > 4 && !strcmp(argv[4], "stay"))
		pause();
	return 0;
}
