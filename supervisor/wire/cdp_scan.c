#include "podvisor/wire/cdp_scan.h"

#include <string.h>
#include <strings.h>

enum state {
	IN_GAP, /* between tokens */
	IN_NUMBER,
	IN_STRING,
	IN_ESCAPE,
	IN_HEX,
	IN_SLASH, /* that may begin a comment */
	IN_LINE,
	IN_BLOCK,
	IN_STAR /* that may end a comment */
};

enum key {
	KEY_NONE,
	KEY_ID,
	KEY_METHOD,
	KEY_SESSION,
	KEY_TARGET,
	KEY_CONTEXT,
	KEY_URL,
	KEY_PARAMS,
	KEY_RESULT,
	KEY_ERROR,
	KEY_MESSAGE
};

#define NO_WORD      CDP_WORDS
#define NOT_ASCII    '\x7f' /* stands for every character that no word has */
#define WINDOW_BYTES 256 /* looked ahead at once in a string that is not kept */

static const struct {
	const char *name;
	uint8_t depth, key;
} key_names[] = {
	{"id", 1, KEY_ID},
	{"method", 1, KEY_METHOD},
	{"sessionId", 1, KEY_SESSION},
	{"params", 1, KEY_PARAMS},
	{"result", 1, KEY_RESULT},
	{"error", 1, KEY_ERROR},
	{"targetId", 2, KEY_TARGET},
	{"browserContextId", 2, KEY_CONTEXT},
	{"url", 2, KEY_URL},
	{"message", 2, KEY_MESSAGE},
};

static const struct {
	const char *name;
	enum cdp_kind kind;
} commands[] = {
	{"Browser.close", CDP_CLOSE},
	{"Browser.crash", CDP_DEADLY},
	{"Browser.crashGpuProcess", CDP_DEADLY}, /* some of them in a row and Chrome ends itself */
	{"Target.exposeDevToolsProtocol", CDP_DEADLY}, /* pages would speak to Chrome past everybody */
	{"Target.createTarget", CDP_CREATE_TARGET},
	{"Target.createBrowserContext", CDP_CREATE_CONTEXT},
	{"Target.closeTarget", CDP_CLOSE_TARGET},
	{"Target.disposeBrowserContext", CDP_DISPOSE_CONTEXT},
	{"Page.navigate", CDP_NAVIGATE},
	{"Target.sendMessageToTarget", CDP_SEND},
};

/* chrome:// addresses that are commands to the whole browser, of this Chromium and of older ones. */
static const char *const deadly_hosts[] = {"quit", "restart", "inducebrowsercrashforrealz",
	"inducebrowserdcheckforrealz", "inducebrowserheapcorruption", "gpucrash", "gpukill", "gpuhang", "uithreadhang",
	"delayeduithreadhang"};

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- addresses ---- */

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As Chrome reads one: without tabs and line ends anywhere, %XX undone. Cut when it is longer than any that counts. */
static size_t plain_url(struct span url, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < url.len && n + 1 < size; i++) {
		char c = url.at[i];
		if (c == '\t' || c == '\n' || c == '\r' || (n == 0 && (unsigned char)c <= ' '))
			continue;
		if (c == '%' && i + 2 < url.len && hex_value(url.at[i + 1]) >= 0 && hex_value(url.at[i + 2]) >= 0) {
			c = (char)(hex_value(url.at[i + 1]) << 4 | hex_value(url.at[i + 2]));
			i += 2;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return n;
}

bool cdp_is_deadly_url(struct span url)
{
	char text[64];
	plain_url(url, text, sizeof(text));
	size_t scheme = strcspn(text, ":");
	if (strncasecmp(text, "chrome:", 7) != 0 && strncasecmp(text, "about:", 6) != 0)
		return false;
	const char *host = text + scheme + 1;
	host += strspn(host, "/\\");
	size_t n = strcspn(host, "/\\?#:.");
	for (size_t i = 0; i < COUNT(deadly_hosts); i++)
		if (strlen(deadly_hosts[i]) == n && !strncasecmp(host, deadly_hosts[i], n))
			return true;
	return false;
}

/* ---- what was read ---- */

static enum key key_named(const struct cdp_level *l)
{
	bool known_place = l->depth == 1 || l->top_key == KEY_PARAMS || l->top_key == KEY_RESULT;
	for (size_t i = 0; known_place && i < COUNT(key_names); i++)
		if (key_names[i].depth == l->depth && !strcmp(key_names[i].name, l->text))
			return (enum key)key_names[i].key;
	return KEY_NONE;
}

static enum cdp_word word_of(uint8_t key)
{
	static const uint8_t words[] = {[KEY_ID] = CDP_ID,
		[KEY_METHOD] = CDP_METHOD,
		[KEY_SESSION] = CDP_SESSION,
		[KEY_TARGET] = CDP_TARGET,
		[KEY_CONTEXT] = CDP_CONTEXT,
		[KEY_URL] = CDP_URL};
	return key >= KEY_ID && key <= KEY_URL ? (enum cdp_word)words[key] : NO_WORD;
}

static enum cdp_kind kind_named(const char *method)
{
	for (size_t i = 0; i < COUNT(commands); i++)
		if (!strcmp(commands[i].name, method))
			return commands[i].kind;
	return CDP_OTHER;
}

static void note_word(struct cdp_scan *s, size_t level)
{
	const struct cdp_level *l = &s->levels[level];
	enum cdp_word word = word_of(l->key);
	enum cdp_kind kind = word == CDP_METHOD ? kind_named(l->text) : CDP_OTHER;
	bool deadly_url = word == CDP_URL && cdp_is_deadly_url((struct span){l->text, l->len});
	if (level > 0) {
		s->deadly_inside |= deadly_url || kind == CDP_CLOSE || kind == CDP_DEADLY;
		return;
	}
	memcpy(s->words[word], l->text, sizeof(l->text));
	s->seen |= 1U << kind;
	s->deadly_url |= deadly_url;
}

/* ---- tokens ---- */

static void begin_word(struct cdp_level *l)
{
	l->keeps = true;
	l->overflow = false;
	l->len = 0;
}

/* What Chrome drops of an address in any case must not push its beginning out. */
static bool is_padding(const struct cdp_level *l, char c)
{
	return l->key == KEY_URL && (c == '\t' || c == '\n' || c == '\r' || (l->len == 0 && (unsigned char)c <= ' '));
}

static void keep(struct cdp_level *l, char c)
{
	if (is_padding(l, c))
		return;
	if (l->len + 1 < CDP_WORD_BYTES)
		l->text[l->len++] = c;
	else
		l->overflow = true;
}

/* An address counts by its beginning; of everything else a part is not the word. */
static void end_word(struct cdp_scan *s, size_t level)
{
	struct cdp_level *l = &s->levels[level];
	if (l->overflow && l->key != KEY_URL)
		l->len = 0;
	l->text[l->len] = '\0';
	l->keeps = false;
	if (l->is_key)
		l->key = (uint8_t)key_named(l);
	else
		note_word(s, level);
}

static void begin_string(struct cdp_scan *s, size_t level)
{
	struct cdp_level *l = &s->levels[level];
	l->state = IN_STRING;
	l->is_key = l->wants_key && l->depth <= 2;
	l->wants_key = false;
	l->inner = !l->is_key && l->key == KEY_MESSAGE && l->depth == 2;
	if (l->is_key || (word_of(l->key) != NO_WORD && l->key != KEY_ID))
		begin_word(l);
	if (l->inner && level + 1 < CDP_LEVELS)
		s->levels[level + 1] = (struct cdp_level){0};
	else if (l->inner)
		s->deadly_inside = true;
}

static void end_string(struct cdp_scan *s, size_t level)
{
	struct cdp_level *l = &s->levels[level];
	l->state = IN_GAP;
	l->inner = false;
	if (l->keeps)
		end_word(s, level);
}

static bool is_object(const struct cdp_level *l)
{
	return l->depth >= 1 && l->depth <= 2 && (l->objects >> l->depth & 1);
}

static void open_value(struct cdp_level *l, bool object)
{
	if (++l->depth <= 2)
		l->objects = (uint8_t)((l->objects & ~(1U << l->depth)) | (unsigned)object << l->depth);
	if (l->depth == 2)
		l->top_key = l->key;
	l->key = KEY_NONE;
	l->wants_key = object;
}

static void close_value(struct cdp_level *l)
{
	if (l->depth)
		l->depth--;
	l->key = KEY_NONE;
	l->wants_key = false;
}

static void begin_number(struct cdp_level *l, char c)
{
	l->state = IN_NUMBER;
	l->is_key = false;
	if (l->key != KEY_ID)
		return;
	begin_word(l);
	keep(l, c);
}

static void take_in_gap(struct cdp_scan *s, size_t level, char c)
{
	struct cdp_level *l = &s->levels[level];
	switch (c) {
	case '"':
		begin_string(s, level);
		break;
	case '{':
	case '[':
		s->error |= level == 0 && l->depth == 1 && l->key == KEY_ERROR;
		open_value(l, c == '{');
		break;
	case '}':
	case ']':
		close_value(l);
		break;
	case ',':
		l->key = KEY_NONE;
		l->wants_key = is_object(l);
		break;
	case '/':
		l->state = IN_SLASH;
		break;
	default:
		if (c == '-' || (c >= '0' && c <= '9'))
			begin_number(l, c);
		break;
	}
}

static void take_in_number(struct cdp_scan *s, size_t level, char c)
{
	struct cdp_level *l = &s->levels[level];
	if (c && strchr("0123456789+-.eE", c)) {
		if (l->keeps)
			keep(l, c);
		return;
	}
	l->state = IN_GAP;
	if (l->keeps)
		end_word(s, level);
	take_in_gap(s, level, c);
}

static void take_one(struct cdp_scan *s, size_t level, char c);

static void put(struct cdp_scan *s, size_t level, char c)
{
	struct cdp_level *l = &s->levels[level];
	if (l->keeps)
		keep(l, c);
	else if (l->inner && level + 1 < CDP_LEVELS)
		take_one(s, level + 1, c);
}

static void take_in_string(struct cdp_scan *s, size_t level, char c)
{
	if (c == '"')
		end_string(s, level);
	else if (c == '\\')
		s->levels[level].state = IN_ESCAPE;
	else
		put(s, level, c ? c : NOT_ASCII);
}

static void take_in_escape(struct cdp_scan *s, size_t level, char c)
{
	static const char from[] = "bfnrtv", to[] = "\b\f\n\r\t\v";
	struct cdp_level *l = &s->levels[level];
	const char *at = c ? strchr(from, c) : NULL;
	l->state = c == 'u' ? IN_HEX : IN_STRING;
	l->hex = 0;
	l->hex_left = 4;
	if (c != 'u')
		put(s, level, at ? to[at - from] : c);
}

static void take_in_hex(struct cdp_scan *s, size_t level, char c)
{
	struct cdp_level *l = &s->levels[level];
	int value = hex_value(c);
	l->hex = (uint16_t)(l->hex << 4 | (value < 0 ? 0 : value));
	if (--l->hex_left)
		return;
	l->state = IN_STRING;
	put(s, level, l->hex && l->hex < 0x80 ? (char)l->hex : NOT_ASCII);
}

static void take_in_comment(struct cdp_level *l, char c)
{
	switch (l->state) {
	case IN_SLASH:
		l->state = c == '/' ? IN_LINE : c == '*' ? IN_BLOCK : IN_GAP;
		break;
	case IN_LINE:
		l->state = c == '\n' || c == '\r' ? IN_GAP : IN_LINE;
		break;
	case IN_STAR:
		l->state = c == '/' ? IN_GAP : c == '*' ? IN_STAR : IN_BLOCK;
		break;
	default:
		l->state = c == '*' ? IN_STAR : IN_BLOCK;
		break;
	}
}

/* Goes as deep as CDP_LEVELS, by strings in strings. */
static void take_one(struct cdp_scan *s, size_t level, char c)
{
	struct cdp_level *l = &s->levels[level];
	switch (l->state) {
	case IN_GAP:
		take_in_gap(s, level, c);
		break;
	case IN_NUMBER:
		take_in_number(s, level, c);
		break;
	case IN_STRING:
		take_in_string(s, level, c);
		break;
	case IN_ESCAPE:
		take_in_escape(s, level, c);
		break;
	case IN_HEX:
		take_in_hex(s, level, c);
		break;
	default:
		take_in_comment(l, c);
		break;
	}
}

/* Most bytes of most messages stand in strings that nobody asks for. */
static size_t skip_string(const struct cdp_level *l, struct span text)
{
	if (l->state != IN_STRING || l->keeps || l->inner)
		return 0;
	size_t n = text.len < WINDOW_BYTES ? text.len : WINDOW_BYTES;
	const char *quote = memchr(text.at, '"', n);
	n = quote ? (size_t)(quote - text.at) : n;
	const char *escape = memchr(text.at, '\\', n);
	return escape ? (size_t)(escape - text.at) : n;
}

void cdp_scan_init(struct cdp_scan *s)
{
	for (size_t i = 0; i < CDP_WORDS; i++)
		s->words[i][0] = '\0';
	s->seen = 0;
	s->deadly_url = s->error = s->deadly_inside = false;
	s->levels[0] = (struct cdp_level){0};
}

void cdp_scan_take(struct cdp_scan *s, struct span text)
{
	for (size_t i = 0; i < text.len;) {
		size_t skipped = skip_string(&s->levels[0], (struct span){text.at + i, text.len - i});
		i += skipped;
		if (!skipped)
			take_one(s, 0, text.at[i++]);
	}
}

static bool has_seen(const struct cdp_scan *s, enum cdp_kind kind)
{
	return s->seen >> kind & 1;
}

bool cdp_scan_is_deadly(const struct cdp_scan *s)
{
	bool opens = has_seen(s, CDP_NAVIGATE) || has_seen(s, CDP_CREATE_TARGET);
	return has_seen(s, CDP_CLOSE) || has_seen(s, CDP_DEADLY) || (opens && s->deadly_url) ||
	       (has_seen(s, CDP_SEND) && s->deadly_inside);
}

enum cdp_kind cdp_scan_kind(const struct cdp_scan *s)
{
	if (has_seen(s, CDP_CLOSE))
		return CDP_CLOSE;
	return cdp_scan_is_deadly(s) ? CDP_DEADLY : kind_named(s->words[CDP_METHOD]);
}
