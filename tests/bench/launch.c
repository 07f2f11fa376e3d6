/* launch FIFO COMMAND ARGS...: stamps the moment before the exec of what is
 * measured, and ties its life to the driver's. */
#include <signal.h>
#include <sys/prctl.h>

#include "stamp.h"

int main(int argc, char **argv)
{
	if (argc < 3 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return 64;
	stamp_write(argv[1], STAMP_EXEC);
	execvp(argv[2], argv + 2);
	return 127;
}
