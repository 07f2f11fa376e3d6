/* Which of Chrome's processes a command line is of, as they were seen with Chromium 156. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "podvisor/io/chrome_tree.h"

#define LINE(text)                     \
	{                              \
		text, sizeof(text) - 1 \
	}

static void each_type_is_told_by_its_words(void **state)
{
	(void)state;
	static const struct {
		struct span line;
		enum chrome_type type;
	} cases[] = {
		{LINE("/usr/lib/chromium/chromium\0--type=zygote\0--no-zygote-sandbox\0"), CHROME_ZYGOTE},
		{LINE("/usr/lib/chromium/chromium --type=renderer --lang=en"), CHROME_RENDERER},
		{LINE("/usr/lib/chromium/chromium\0--type=gpu-process\0"), CHROME_GPU},
		{LINE("/c\0--type=utility\0--utility-sub-type=network.mojom.NetworkService\0"), CHROME_NETWORK},
		{LINE("/c --type=utility --utility-sub-type=storage.mojom.StorageService --x"), CHROME_STORAGE},
		{LINE("/c\0--type=utility\0--utility-sub-type=audio.mojom.AudioService\0"), CHROME_UTILITY},
		{LINE("/usr/lib/chromium/chrome_crashpad_handler\0--monitor-self\0"), CHROME_CRASHPAD},
		{LINE("/usr/lib/chromium/chromium\0--no-first-run\0"), CHROME_OTHER},
		{LINE("/c\0--url=http://x/?--type=renderer\0"), CHROME_OTHER},
		{LINE("/c\0--type=renderers\0"), CHROME_OTHER},
		{LINE(""), CHROME_OTHER},
		/* The full Chromium writes its title anew, with blanks, and names crashpad's handler in it. */
		{LINE("/usr/lib/chromium/chromium --type=zygote --crashpad-handler-pid=0"), CHROME_ZYGOTE},
		{LINE("/usr/lib/chromium/chromium --type=utility --utility-sub-type=network.mojom.NetworkService "
		      "--crashpad-handler-pid=0 --enable-crash-reporter=,"),
			CHROME_NETWORK},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(chrome_tree_type_of(cases[i].line), cases[i].type);
}

static void a_directory_is_not_taken_for_a_longer_one(void **state)
{
	(void)state;
	static const struct span named = LINE("/c\0--user-data-dir=/v/g1/profile\0"), exactly = LINE("/v/g1");
	static const struct span longer = LINE("/c\0--user-data-dir=/v/g12/profile\0"), shorter = LINE("/v/g");
	assert_true(chrome_tree_names(named, "/v/g1"));
	assert_true(chrome_tree_names(exactly, "/v/g1"));
	assert_false(chrome_tree_names(longer, "/v/g1"));
	assert_false(chrome_tree_names(shorter, "/v/g1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_type_is_told_by_its_words),
		cmocka_unit_test(a_directory_is_not_taken_for_a_longer_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
