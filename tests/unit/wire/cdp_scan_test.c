#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "podvisor/wire/cdp_scan.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct cdp_scan scan(const char *text)
{
	struct cdp_scan s;
	cdp_scan_init(&s);
	cdp_scan_take(&s, span_of(text));
	return s;
}

static struct cdp_scan scan_bytewise(const char *text)
{
	struct cdp_scan s;
	cdp_scan_init(&s);
	for (; *text; text++) {
		char *copy = malloc(1); /* of its own, so that a read past it is seen by the sanitizers */
		*copy = *text;
		cdp_scan_take(&s, (struct span){copy, 1});
		free(copy);
	}
	return s;
}

static const struct {
	const char *text;
	enum cdp_kind kind;
} kinds[] = {
	{"{\"id\":1,\"method\":\"Browser.close\"}", CDP_CLOSE},
	{" \t\r\n{ \"id\" : 1 , \"method\" : \"Browser.close\" } ", CDP_CLOSE},
	{"{\"method\":\"Browser\\u002eclose\",\"id\":1}", CDP_CLOSE},
	{"{\"\\u006d\\u0065thod\":\"\\u0042rowser.clos\\u0065\",\"id\":1}", CDP_CLOSE},
	{"{\"id\":1,/* \" { */\"method\"/**/:// \"x\"\n\"Browser.close\"}", CDP_CLOSE},
	{"{\"id\":1,\v\"method\":\f\"Browser.close\"}", CDP_CLOSE},
	{"{\"id\":1,\"params\":{\"a\":[{\"b\":[1,{}]},\"]\"]},\"method\":\"Browser.close\"}", CDP_CLOSE},
	{"{\"id\":1,\"params\":\"\\\"}\",\"method\":\"Browser.close\",\"sessionId\":\"A1\"}", CDP_CLOSE},
	{"{\"id\":1,\"method\":\"Browser.close\",\"method\":\"Browser.getVersion\"}", CDP_CLOSE},
	{"{\"id\":1,\"method\":\"Browser.getVersion\",\"method\":\"Browser.close\"}", CDP_CLOSE},
	{"{\"id\":1,\"method\":\"Browser.crash\"}", CDP_DEADLY},
	{"{\"id\":1,\"method\":\"Browser.crashGpuProcess\"}", CDP_DEADLY},
	{"{\"id\":1,\"method\":\"Target.exposeDevToolsProtocol\",\"params\":{\"targetId\":\"A\"}}", CDP_DEADLY},
	{"{\"id\":1,\"method\":\"Page.navigate\",\"params\":{\"url\":\"chrome://quit\"}}", CDP_DEADLY},
	{"{\"params\":{\"url\":\"  CHROME:\\/\\/Qu\\tit\\/\"},\"method\":\"Page.navigate\",\"id\":1}", CDP_DEADLY},
	{"{\"id\":1,\"method\":\"Target.createTarget\",\"params\":{\"url\":\"about:inducebrowsercrashforrealz\"}}",
		CDP_DEADLY},
	{"{\"id\":1,\"method\":\"Target.sendMessageToTarget\",\"params\":{\"message\":"
	 "\"{\\\"id\\\":2,\\\"method\\\":\\\"Browser.close\\\"}\",\"sessionId\":\"S\"}}",
		CDP_DEADLY},
	{"{\"id\":1,\"params\":{\"message\":\"{\\\"method\\\":\\\"Browser\\\\u002eclose\\\"}\"},\"method\":"
	 "\"Target.sendMessageToTarget\"}",
		CDP_DEADLY},
	{"{\"id\":1,\"method\":\"Target.createTarget\",\"params\":{\"url\":\"about:blank\"}}", CDP_CREATE_TARGET},
	{"{\"id\":1,\"method\":\"Target.createBrowserContext\"}", CDP_CREATE_CONTEXT},
	{"{\"id\":1,\"method\":\"Target.closeTarget\",\"params\":{\"targetId\":\"T\"}}", CDP_CLOSE_TARGET},
	{"{\"id\":1,\"method\":\"Page.navigate\",\"params\":{\"url\":\"https://quit/\"}}", CDP_NAVIGATE},
	{"{\"id\":1,\"method\":\"Page.navigate\",\"params\":{\"url\":\"chrome://version\"}}", CDP_NAVIGATE},
	{"{\"id\":1,\"method\":\"Target.sendMessageToTarget\",\"params\":{\"message\":"
	 "\"{\\\"id\\\":2,\\\"method\\\":\\\"Browser.getVersion\\\"}\"}}",
		CDP_SEND},
	/* words that stand elsewhere */
	{"{\"id\":1,\"method\":\"Runtime.evaluate\",\"params\":{\"expression\":\"Browser.close\"}}", CDP_OTHER},
	{"{\"id\":1,\"method\":\"Runtime.evaluate\",\"params\":{\"method\":\"Browser.close\"}}", CDP_OTHER},
	{"{\"id\":1,\"method\":\"Runtime.evaluate\",\"params\":{\"expression\":\"\\\"method\\\":\\\"Browser."
	 "close\\\"\"}}",
		CDP_OTHER},
	{"{\"id\":1,\"method\":\"Runtime.evaluate\",\"x\":[\"method\",\"Browser.close\"]}", CDP_OTHER},
	{"{\"id\":1,\"method\":\"Network.setCookie\",\"params\":{\"url\":\"chrome://quit\"}}", CDP_OTHER},
	{"{\"id\":1,\"method\":\"Log.x\",\"params\":{\"message\":\"{\\\"method\\\":\\\"Browser.close\\\"}\"}}",
		CDP_OTHER},
	{"{\"id\":1,\"method\":\"Browser.closed\"}", CDP_OTHER},
	{"{\"id\":1,\"method\":\"Browser.close\\u0000\"}", CDP_OTHER},
	{"{\"id\":1,\"method\":\"browser.close\"}", CDP_OTHER},
	{"[{\"id\":1,\"method\":\"Browser.close\"}]", CDP_OTHER},
	{"{\"id\":1,/*\"method\":\"Browser.close\"*/\"x\":1}", CDP_OTHER},
	{"\"Browser.close\"", CDP_OTHER},
	{"", CDP_OTHER},
};

static void the_command_is_found_where_it_counts_and_nowhere_else(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(kinds); i++) {
		struct cdp_scan s = scan(kinds[i].text), bytewise = scan_bytewise(kinds[i].text);
		if (cdp_scan_kind(&s) != kinds[i].kind)
			fail_msg("%d: %s", cdp_scan_kind(&s), kinds[i].text);
		assert_int_equal(cdp_scan_kind(&bytewise), kinds[i].kind);
		for (int word = 0; word < CDP_WORDS; word++)
			assert_string_equal(s.words[word], bytewise.words[word]);
		assert_int_equal(cdp_scan_is_deadly(&s), kinds[i].kind == CDP_CLOSE || kinds[i].kind == CDP_DEADLY);
	}
}

static void its_words_are_kept(void **state)
{
	(void)state;
	struct cdp_scan s =
		scan("{\"id\" : -12 ,\"sessionId\":\"S\\u0031\",\"method\":\"Target.closeTarget\","
		     "\"params\":{\"targetId\":\"T1\",\"browserContextId\":\"C1\",\"sessionId\":\"no\",\"id\":7}}");
	assert_string_equal(s.words[CDP_ID], "-12");
	assert_string_equal(s.words[CDP_SESSION], "S1");
	assert_string_equal(s.words[CDP_METHOD], "Target.closeTarget");
	assert_string_equal(s.words[CDP_TARGET], "T1");
	assert_string_equal(s.words[CDP_CONTEXT], "C1");
	s = scan("{\"id\":3,\"result\":{\"targetId\":\"T2\"}}");
	assert_string_equal(s.words[CDP_ID], "3");
	assert_string_equal(s.words[CDP_TARGET], "T2");
	assert_false(s.error);
	s = scan("{\"id\":3,\"error\":{\"code\":-32000,\"message\":\"x\"}}");
	assert_true(s.error);
	s = scan("{\"id\":\"3\",\"method\":7}");
	assert_string_equal(s.words[CDP_ID], "");
	assert_string_equal(s.words[CDP_METHOD], "");
}

static void what_is_too_long_is_no_word(void **state)
{
	(void)state;
	char text[300], word[200];
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	snprintf(text, sizeof(text), "{\"id\":1,\"method\":\"Browser.close%s\"}", word);
	struct cdp_scan s = scan(text);
	assert_string_equal(s.words[CDP_METHOD], "");
	assert_int_equal(cdp_scan_kind(&s), CDP_OTHER);
	/* but of an address the beginning counts, however it is padded */
	memset(word, ' ', sizeof(word) - 1);
	snprintf(
		text, sizeof(text), "{\"method\":\"Page.navigate\",\"params\":{\"url\":\"%schrome://quit/?x\"}}", word);
	s = scan(text);
	assert_int_equal(cdp_scan_kind(&s), CDP_DEADLY);
}

/* The message of a message of a message ...: each level doubles the backslashes. */
static char *wrap(const char *inner)
{
	size_t n = strlen(inner), at = 0;
	char *out = malloc(2 * n + 200);
	at += (size_t)sprintf(out, "{\"id\":1,\"method\":\"Target.sendMessageToTarget\",\"params\":{\"message\":\"");
	for (; *inner; inner++) {
		if (*inner == '"' || *inner == '\\')
			out[at++] = '\\';
		out[at++] = *inner;
	}
	strcpy(out + at, "\"}}");
	return out;
}

static void messages_in_messages_are_looked_at_and_too_many_are_not_trusted(void **state)
{
	(void)state;
	for (int harmless = 0; harmless < 2; harmless++) {
		char *text = strdup(harmless ? "{\"id\":2,\"method\":\"Browser.getVersion\"}"
					     : "{\"id\":2,\"method\":\"Browser.close\"}");
		for (int level = 1; level < 7; level++) {
			char *more = wrap(text);
			free(text);
			text = more;
			struct cdp_scan s = scan(text);
			assert_int_equal(cdp_scan_is_deadly(&s), !harmless || level >= CDP_LEVELS);
		}
		free(text);
	}
}

static void addresses_that_are_commands_are_known_in_every_spelling(void **state)
{
	(void)state;
	static const char *const deadly[] = {"chrome://quit", "chrome:quit", "CHROME://RESTART/", "about:quit",
		"\n\t chrome:\\\\gpucrash?x", "chrome://%71ui%54#", "chr\tome://q\nuit"};
	static const char *const fine[] = {"", "chrome", "chrome:", "chrome://", "chrome://quits", "https://quit",
		"about:blank", "chrome://version/quit", "x chrome://quit", "%"};
	for (size_t i = 0; i < COUNT(deadly); i++)
		if (!cdp_is_deadly_url(span_of(deadly[i])))
			fail_msg("%s", deadly[i]);
	for (size_t i = 0; i < COUNT(fine); i++)
		if (cdp_is_deadly_url(span_of(fine[i])))
			fail_msg("%s", fine[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_command_is_found_where_it_counts_and_nowhere_else),
		cmocka_unit_test(its_words_are_kept),
		cmocka_unit_test(what_is_too_long_is_no_word),
		cmocka_unit_test(messages_in_messages_are_looked_at_and_too_many_are_not_trusted),
		cmocka_unit_test(addresses_that_are_commands_are_known_in_every_spelling),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
