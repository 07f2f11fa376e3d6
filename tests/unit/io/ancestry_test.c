#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "podvisor/io/ancestry.h"

static pid_t child(const char *name)
{
	pid_t pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_NAME, name);
		for (;;)
			pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_process_descends_from_itself_and_its_parents(void **state)
{
	(void)state;
	assert_int_equal(ancestry_parent(getpid()), getppid());
	assert_int_equal(ancestry_of(getpid(), getpid()), ANCESTRY_YES);
	assert_int_equal(ancestry_of(getpid(), getppid()), ANCESTRY_YES);
	assert_int_equal(ancestry_of(getppid(), getpid()), ANCESTRY_NO);
}

static void a_name_with_parentheses_and_blanks_misleads_nobody(void **state)
{
	(void)state;
	pid_t pid = child("a) R 1 (b");
	assert_int_equal(ancestry_parent(pid), getpid());
	assert_int_equal(ancestry_of(pid, getpid()), ANCESTRY_YES);
	end(pid);
}

static void a_sibling_is_no_ancestor(void **state)
{
	(void)state;
	pid_t first = child("one"), second = child("two");
	assert_int_equal(ancestry_of(second, first), ANCESTRY_NO);
	end(first);
	end(second);
}

static void of_one_that_is_gone_nothing_is_known(void **state)
{
	(void)state;
	pid_t pid = child("gone");
	end(pid);
	assert_int_equal(ancestry_parent(pid), 0);
	assert_int_equal(ancestry_of(pid, getpid()), ANCESTRY_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_descends_from_itself_and_its_parents),
		cmocka_unit_test(a_name_with_parentheses_and_blanks_misleads_nobody),
		cmocka_unit_test(a_sibling_is_no_ancestor),
		cmocka_unit_test(of_one_that_is_gone_nothing_is_known),
	};
	return cmocka_run_group_tests_name("ancestry", tests, NULL, NULL);
}
