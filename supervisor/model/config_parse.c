#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config_expand.h"
#include "config_secret.h"
#include "config_budget.h"
#include "config_job.h"
#include "config_report.h"
#include "config_table.h"
#include "config_text.h"
#include "config_validate.h"
#include "config_value.h"
#include "config_walk.h"
#include "podvisor/base/buf.h"
#include "podvisor/base/nearest.h"
#include "podvisor/model/config.h"

/* A name that has to be looked up when everything is read. */
struct reference {
	const struct config_key *key;
	const struct config_node *node;
	const char *text; /* borrowed from the configuration */
	struct reference *next;
};

struct parser {
	const struct config_source *source;
	struct config_report *report;
	struct config *config;
	struct reference *references;
	const struct config_node *at; /* the string being expanded */
	bool out_of_memory, linked; /* linked: no mistake was found, and what is reported from then on are warnings */
};

static void parse_section(
	struct parser *p, const struct config_section *section, const struct config_node *node, void *base);

/* The first of two equal keys counts; the second is a mistake. */
static bool is_duplicate(struct parser *p, const struct config_node *node)
{
	char quoted[CONFIG_QUOTE_MAX];
	if (node->first_of)
		config_report_key(p->report, node, "duplicate key %s (first on line %d)",
			config_quote(node->key, false, quoted), node->first_of->key_line);
	return node->first_of != NULL;
}

static const char *expected(const struct config_key *key, char *out, size_t size)
{
	struct buf b;
	buf_init(&b, size - 1);
	config_value_expected(key, &b);
	snprintf(out, size, "%s", buf_str(&b));
	buf_fini(&b);
	return out;
}

static void wrong_type(struct parser *p, const struct config_key *key, const struct config_node *node)
{
	char text[200];
	config_report_value(
		p->report, node, "is %s (expected %s)", config_node_noun(node), expected(key, text, sizeof(text)));
}

/* --- strings --- */

static void report_expansion(void *ctx, const char *text)
{
	struct parser *p = ctx;
	config_report_value(p->report, p->at, "%s", text);
}

static void keep_secret(void *ctx, const char *value, size_t n)
{
	struct parser *p = ctx;
	p->out_of_memory |= !config_secret_keep(p->config, value, n);
}

/* The node's string with everything replaced, malloc'ed; NULL when that is a mistake (reported). */
static char *expand(struct parser *p, const struct config_node *node, bool *secret)
{
	struct config_expand x = {.source = p->source, .mistake = report_expansion, .kept = keep_secret, .ctx = p};
	p->at = node;
	char *text = config_expand(&x, node->text);
	*secret = x.secret;
	p->out_of_memory |= !text && !x.failed;
	return text;
}

static void remember_reference(
	struct parser *p, const struct config_key *key, const struct config_node *node, const char *text)
{
	struct reference *r = calloc(1, sizeof(*r));
	if (!r) {
		p->out_of_memory = true;
		return;
	}
	*r = (struct reference){.key = key, .node = node, .text = text, .next = p->references};
	p->references = r;
}

static bool check_dsn(struct parser *p, const struct config_node *node, const char *dsn)
{
	struct err err = {0};
	if (!p->source->dsn || p->source->dsn(p->source->ctx, dsn, &err) == 0)
		return true;
	config_report_value(p->report, node, "is refused: %s", err.text);
	return false;
}

/* A string value of the key's syntax; NULL when it is a mistake (reported). */
static char *parse_text(struct parser *p, const struct config_key *key, const struct config_node *node)
{
	bool secret = false;
	char quoted[CONFIG_QUOTE_MAX];
	if (node->kind != CONFIG_NODE_STRING) {
		config_report_value(p->report, node, "is %s (expected %s)", config_node_noun(node),
			config_syntax_expected(key->syntax));
		return NULL;
	}
	char *text = expand(p, node, &secret);
	if (!text)
		return NULL;
	if (!config_syntax_fits(key->syntax, text)) {
		bool hide = secret || key->secret || key->syntax == CONFIG_DSN;
		if (*text)
			config_report_value(p->report, node, "%s does not fit (expected %s)",
				config_quote(text, hide, quoted), config_syntax_expected(key->syntax));
		else
			config_report_value(
				p->report, node, "is empty (expected %s)", config_syntax_expected(key->syntax));
		free(text);
		return NULL;
	}
	if (key->syntax == CONFIG_DSN && !check_dsn(p, node, text)) {
		free(text);
		return NULL;
	}
	if ((secret || key->secret) && !config_mark_secret(p->config, text))
		p->out_of_memory = true;
	if (key->secret)
		keep_secret(p, text, strlen(text));
	if (key->syntax == CONFIG_REFERENCE)
		remember_reference(p, key, node, text);
	return text;
}

static void parse_string(struct parser *p, const struct config_key *key, const struct config_node *node, void *base)
{
	void **field = config_walk_array(key, base);
	if (key->word && node->kind == CONFIG_NODE_STRING && strcmp(node->text, key->word) == 0) {
		free(*field);
		*field = NULL;
		return;
	}
	char *text = parse_text(p, key, node);
	if (!text)
		return;
	free(*field);
	*field = text;
}

static void parse_strings(struct parser *p, const struct config_key *key, const struct config_node *node, void *base)
{
	void **field = config_walk_array(key, base);
	size_t n = 0;
	if (node->kind != CONFIG_NODE_ARRAY) {
		wrong_type(p, key, node);
		return;
	}
	if (key->at_least_one && node->n == 0) {
		config_report_value(p->report, node, "is empty (expected at least one string)");
		return;
	}
	char **strings = config_strings_new(node->n);
	if (!strings) {
		p->out_of_memory = true;
		return;
	}
	config_strings_free(*field);
	*field = strings;
	for (const struct config_node *child = node->children; child; child = child->next) {
		char *text = parse_text(p, key, child);
		if (text)
			strings[n++] = text;
		if (text && !*text && key->at_least_one && child == node->children)
			config_report_value(p->report, child, "is empty (expected the program to run)");
	}
}

static bool is_pair_name(const char *name)
{
	return *name && !strchr(name, '=');
}

static void parse_pairs(struct parser *p, const struct config_key *key, const struct config_node *node, void *base)
{
	size_t *n = config_walk_count(key, base);
	if (node->kind != CONFIG_NODE_OBJECT) {
		wrong_type(p, key, node);
		return;
	}
	struct config_pair *pairs = calloc(node->n + 1, sizeof(*pairs));
	*config_walk_array(key, base) = pairs;
	for (const struct config_node *child = node->children; pairs && child; child = child->next) {
		if (is_duplicate(p, child))
			continue;
		if (!is_pair_name(child->key)) {
			config_report_key(p->report, child,
				"\"%s\" is no name (expected one that is not empty, without \"=\")", child->key);
			continue;
		}
		char *value = parse_text(p, key, child);
		if (!value)
			continue;
		pairs[*n] = (struct config_pair){.name = strdup(child->key), .value = value};
		p->out_of_memory |= !pairs[*n].name;
		if (config_name_is_secret(child->key)) {
			p->out_of_memory |= !config_mark_secret(p->config, value);
			keep_secret(p, value, strlen(value));
		}
		++*n;
	}
	p->out_of_memory |= !pairs;
}

/* --- numbers --- */

/* A number, true or false may also come out of a variable: "${PORT}". */
static bool is_of_type(const struct config_key *key, const struct config_node *node)
{
	switch (node->kind) {
	case CONFIG_NODE_STRING:
		return !config_type_is_bare(key->type) || strstr(node->text, "${") ||
		       (key->word && strcmp(node->text, key->word) == 0);
	case CONFIG_NODE_INTEGER:
		return key->type == CONFIG_NUMBER || key->type == CONFIG_FACTOR || key->type == CONFIG_SIGNAL ||
		       key->type == CONFIG_CLOSE_CODE;
	case CONFIG_NODE_REAL:
		return key->type == CONFIG_FACTOR;
	case CONFIG_NODE_TRUE:
	case CONFIG_NODE_FALSE:
		return key->type == CONFIG_BOOL;
	default:
		return false;
	}
}

static void wrong_value(struct parser *p, const struct config_key *key, const struct config_node *node,
	const char *text, bool secret, int rc, const char *why)
{
	char quoted[CONFIG_QUOTE_MAX], wanted[200];
	bool bare = !secret && node->kind != CONFIG_NODE_STRING;
	const char *shown = bare ? text : config_quote(text, secret, quoted);
	struct nearest near;
	nearest_init(&near, text);
	for (size_t i = 0; key->type == CONFIG_CHOICE && !secret && key->words[i].word; i++)
		nearest_offer(&near, key->words[i].word);
	if (rc == -ENOTSUP)
		config_report_value(p->report, node, "%s %s", shown, why);
	else if (near.best)
		config_report_value(p->report, node, "%s %s (expected %s; did you mean \"%s\"?)", shown, why,
			expected(key, wanted, sizeof(wanted)), near.best);
	else
		config_report_value(
			p->report, node, "%s %s (expected %s)", shown, why, expected(key, wanted, sizeof(wanted)));
}

static void parse_number(struct parser *p, const struct config_key *key, const struct config_node *node, void *base)
{
	bool secret = false;
	int64_t value = 0;
	struct err err = {0};
	if (!is_of_type(key, node)) {
		wrong_type(p, key, node);
		return;
	}
	char *text = node->kind == CONFIG_NODE_STRING ? expand(p, node, &secret)
		     : node->text                     ? strdup(node->text)
						      : strdup(node->kind == CONFIG_NODE_TRUE ? "true" : "false");
	if (!text) {
		p->out_of_memory |= node->kind != CONFIG_NODE_STRING;
		return;
	}
	int rc = config_value_parse(key, text, &value, &err);
	if (rc < 0)
		wrong_value(p, key, node, text, secret, rc, err.text);
	else
		config_value_store(key, base, value);
	free(text);
}

/* --- nested --- */

static bool is_entry_name(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
	return *name && strlen(name) <= CONFIG_NAME_MAX && !name[strspn(name, letters)] && !strchr("._-", name[0]);
}

static void parse_entries(struct parser *p, const struct config_key *key, const struct config_node *node, void *base)
{
	size_t *n = config_walk_count(key, base);
	if (node->kind != CONFIG_NODE_OBJECT) {
		wrong_type(p, key, node);
		return;
	}
	if (node->n > CONFIG_ENTRIES_MAX) {
		config_report_value(
			p->report, node, "has %zu entries (expected at most %d)", node->n, CONFIG_ENTRIES_MAX);
		return;
	}
	*config_walk_array(key, base) = calloc(node->n + 1, key->section->size);
	p->out_of_memory |= !*config_walk_array(key, base);
	for (const struct config_node *child = node->children; !p->out_of_memory && child; child = child->next) {
		if (is_duplicate(p, child))
			continue;
		if (!is_entry_name(child->key)) {
			char quoted[CONFIG_QUOTE_MAX];
			config_report_key(p->report, child,
				"%s is no name (expected at most %d letters, digits, \".\", \"_\" and \"-\", a letter "
				"or "
				"digit first)",
				config_quote(child->key, false, quoted), CONFIG_NAME_MAX);
			continue;
		}
		void *row = config_walk_row(key, base, (*n)++);
		char *name = strdup(child->key);
		*(char **)row = name;
		p->out_of_memory |= !name || !config_walk_defaults(key->section, row);
		parse_section(p, key->section, child, row);
	}
}

static void parse_rows(struct parser *p, const struct config_key *key, const struct config_node *node, void *base)
{
	size_t *n = config_walk_count(key, base);
	if (node->kind != CONFIG_NODE_ARRAY) {
		wrong_type(p, key, node);
		return;
	}
	if (node->n > CONFIG_ENTRIES_MAX || (key->at_least_one && node->n == 0)) {
		config_report_value(p->report, node, "has %zu entries (expected 1 to %d)", node->n, CONFIG_ENTRIES_MAX);
		return;
	}
	*config_walk_array(key, base) = calloc(node->n + 1, key->section->size);
	p->out_of_memory |= !*config_walk_array(key, base);
	for (const struct config_node *child = node->children; !p->out_of_memory && child; child = child->next) {
		void *row = config_walk_row(key, base, (*n)++);
		p->out_of_memory |= !config_walk_defaults(key->section, row);
		parse_section(p, key->section, child, row);
	}
}

static const struct config_key *find_key(const struct config_section *section, const char *name)
{
	for (const struct config_key *key = section->keys; key->name; key++)
		if (strcmp(key->name, name) == 0)
			return key;
	return NULL;
}

static void parse_nested(struct parser *p, const struct config_key *key, const struct config_node *node, void *base)
{
	const struct config_section *section = key->section;
	if (section->shorthand && node->kind == CONFIG_NODE_STRING)
		parse_string(p, find_key(section, section->shorthand), node, config_walk_section(key, base));
	else
		parse_section(p, section, node, config_walk_section(key, base));
}

static void parse_value(struct parser *p, const struct config_key *key, const struct config_node *node, void *base)
{
	size_t before = p->report->count + p->report->more;
	switch (key->type) {
	case CONFIG_STRING:
		parse_string(p, key, node, base);
		break;
	case CONFIG_STRINGS:
		parse_strings(p, key, node, base);
		break;
	case CONFIG_PAIRS:
		parse_pairs(p, key, node, base);
		break;
	case CONFIG_SECTION:
		parse_nested(p, key, node, base);
		break;
	case CONFIG_ENTRIES:
		parse_entries(p, key, node, base);
		break;
	case CONFIG_ROWS:
		parse_rows(p, key, node, base);
		break;
	default:
		parse_number(p, key, node, base);
	}
	if (key->planned && before == p->report->count + p->report->more)
		config_report_key(p->report, node, "is not available in this version");
}

/* Returns the bit of the key that was probably meant, so that it is not called missing as well. */
static uint64_t unknown_key(struct parser *p, const struct config_section *section, const struct config_node *node)
{
	char quoted[CONFIG_QUOTE_MAX];
	struct nearest near;
	struct buf known;
	uint64_t meant = 0;
	config_quote(node->key, false, quoted);
	nearest_init(&near, node->key);
	buf_init(&known, 150);
	for (const struct config_key *key = section->keys; key->name; key++) {
		nearest_offer(&near, key->name);
		if (near.best == key->name)
			meant = (uint64_t)1 << (key - section->keys);
		buf_printf(&known, "%s\"%s\"", known.len ? ", " : "", key->name);
	}
	if (near.best)
		config_report_key(p->report, node, "unknown key %s (did you mean \"%s\"?)", quoted, near.best);
	else
		config_report_key(p->report, node, "unknown key %s (known here: %s%s)", quoted, buf_str(&known),
			known.failed ? ", ..." : "");
	buf_fini(&known);
	return meant;
}

static void mark_present(const struct config_section *section, void *base)
{
	bool present = true;
	if (section->has_present)
		memcpy((char *)base + section->present_offset, &present, sizeof(present));
}

static void parse_section(
	struct parser *p, const struct config_section *section, const struct config_node *node, void *base)
{
	if (node->kind != CONFIG_NODE_OBJECT) {
		config_report_value(p->report, node, "is %s (expected an object)", config_node_noun(node));
		return;
	}
	uint64_t misspelt = 0;
	mark_present(section, base);
	for (const struct config_node *child = node->children; child; child = child->next) {
		const struct config_key *key = find_key(section, child->key);
		if (is_duplicate(p, child))
			continue;
		if (key)
			parse_value(p, key, child, base);
		else
			misspelt |= unknown_key(p, section, child);
	}
	for (size_t i = 0; section->keys[i].name; i++)
		if (section->keys[i].required && !(misspelt & (uint64_t)1 << i) &&
			!config_node_get(node, section->keys[i].name))
			config_report_missing(p->report, node, section->keys[i].name);
}

/* --- references --- */

static void resolve(struct parser *p, const struct reference *r)
{
	enum thing thing;
	const char *name;
	char quoted[CONFIG_QUOTE_MAX];
	bool secret = config_is_secret(p->config, r->text);
	const char *shown = config_quote(r->text, secret, quoted);
	if (!config_reference_split(r->key, r->text, &thing, &name)) {
		config_report_value(p->report, r->node,
			"%s refers to nothing that can stand here (expected \"NAME\"%s%s%s%s)", shown,
			r->key->things & 1U << THING_WORKER ? ", \"worker:NAME\"" : "",
			r->key->things & 1U << THING_POSTGRES ? ", \"postgres:NAME\"" : "",
			r->key->things & 1U << THING_VOLUME ? ", \"volume:NAME\"" : "",
			r->key->things & 1U << THING_BROWSER ? ", \"browser:NAME\"" : "");
		return;
	}
	if (config_find(p->config, thing, name) >= 0)
		return;
	struct nearest near;
	nearest_init(&near, name);
	for (size_t i = 0; !secret && i < config_count(p->config, thing); i++)
		nearest_offer(&near, config_name_of(p->config, thing, i));
	if (near.best)
		config_report_value(p->report, r->node, "there is no %s of the name %s (did you mean \"%s\"?)",
			thing_name(thing), config_quote(name, secret, quoted), near.best);
	else
		config_report_value(p->report, r->node,
			"there is no %s of the name %s (expected one that is configured)", thing_name(thing),
			config_quote(name, secret, quoted));
}

static void resolve_all(struct parser *p)
{
	for (struct reference *r = p->references, *next; r; r = next) {
		next = r->next;
		resolve(p, r);
		free(r);
	}
	p->references = NULL;
}

/* The things that a list names, each of which is there. NULL: out of memory. */
static struct config_ref *link_names(const struct config *c, const char *key_name, char *const *names, size_t *n)
{
	const struct config_key *key = find_key(&config_section_worker, key_name);
	while (names[*n])
		++*n;
	struct config_ref *refs = calloc(*n + 1, sizeof(*refs));
	for (size_t i = 0; refs && i < *n; i++) {
		enum thing thing;
		const char *name;
		config_reference_split(key, names[i], &thing, &name);
		refs[i] = (struct config_ref){.thing = thing, .index = (uint32_t)config_find(c, thing, name)};
	}
	return refs;
}

static bool link_worker(const struct config *c, struct config_worker *w)
{
	w->depends_on = link_names(c, "depends_on", w->depends_on_names, &w->n_depends_on);
	w->restart_with = link_names(c, "restart_with", w->restart_with_names, &w->n_restart_with);
	return w->depends_on && w->restart_with;
}

/* Longest path first, equal ones as they stand in the file. */
static void sort_routes(struct config_gateway *g)
{
	for (size_t i = 1; i < g->n_routes; i++) {
		struct config_route route = g->routes[i];
		size_t at = i;
		while (at > 0 && strlen(g->routes[at - 1].path) < strlen(route.path)) {
			g->routes[at] = g->routes[at - 1];
			at--;
		}
		g->routes[at] = route;
	}
}

/* Every name is known to exist here. false: out of memory. */
static bool link_all(struct config *c)
{
	bool ok = true;
	for (size_t i = 0; ok && i < c->n_workers; i++)
		ok = link_worker(c, &c->workers[i]);
	for (size_t i = 0; i < c->n_browsers; i++)
		c->browsers[i].volume_ref = (struct config_ref){
			.thing = THING_VOLUME, .index = (uint32_t)config_find(c, THING_VOLUME, c->browsers[i].volume)};
	for (size_t i = 0; i < c->gateway.n_routes; i++)
		if (c->gateway.routes[i].worker)
			c->gateway.routes[i].worker_ref = (struct config_ref){.thing = THING_WORKER,
				.index = (uint32_t)config_find(c, THING_WORKER, c->gateway.routes[i].worker)};
	sort_routes(&c->gateway);
	return ok;
}

static void settle_check(struct config_check *check)
{
	check->kind = !check->present  ? CHECK_NONE
		      : check->http    ? CHECK_HTTP
		      : check->tcp     ? CHECK_TCP
		      : check->exec[0] ? CHECK_EXEC
		      : check->file    ? CHECK_FILE
		      : check->notify  ? CHECK_NOTIFY
				       : CHECK_NONE;
}

/* Without anything to look at, a startup is a time that the worker has to last. */
static void settle_startup(struct config_check *startup)
{
	settle_check(startup);
	if (startup->kind == CHECK_NONE && startup->initial_delay)
		startup->kind = CHECK_DELAY;
}

static void settle_checks(struct config *c)
{
	for (size_t i = 0; i < c->n_workers; i++) {
		settle_check(&c->workers[i].readiness);
		settle_check(&c->workers[i].liveness);
		settle_startup(&c->workers[i].startup);
	}
}

static bool settle_budget(struct parser *p, const struct config_node *root)
{
	p->linked = true;
	return config_budget_settle(p->config, root, p->report);
}

static void parse_root(struct parser *p, const struct config_node *root)
{
	parse_section(p, &config_root, root, p->config);
	resolve_all(p);
	if (p->out_of_memory)
		return;
	settle_checks(p->config);
	config_job_settle(p->config, root, p->source, p->report);
	p->out_of_memory |= !config_validate(p->config, root, p->report);
	if (p->report->count == 0 && !p->out_of_memory)
		p->out_of_memory |= !link_all(p->config) || !settle_budget(p, root);
}

struct config *config_parse(
	const char *text, size_t len, const struct config_source *source, struct config_report *report)
{
	struct err err = {0};
	int line = 1, column = 1;
	report->count = report->more = 0;
	struct config_node *root = config_node_read(text, len, &line, &column, &err);
	if (!root) {
		config_report_place(report, line, column, err.text);
		return NULL;
	}
	struct parser p = {.source = source, .report = report, .config = calloc(1, sizeof(*p.config))};
	if (p.config)
		p.config->refs = 1;
	p.out_of_memory = !p.config || !config_walk_defaults(&config_root, p.config);
	if (!p.out_of_memory)
		parse_root(&p, root);
	config_node_free(root);
	if (p.out_of_memory)
		config_report_place(report, 1, 1, "out of memory");
	config_report_sort(report);
	if (!p.linked || p.out_of_memory) {
		config_release(p.config);
		return NULL;
	}
	return p.config;
}
