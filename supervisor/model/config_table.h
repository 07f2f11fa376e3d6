/* config_table owns the one list of what may stand in podvisor.json: each key
 * with its type, default, limits and meaning. The parser, --print, the JSON
 * Schema, the comparison of two configurations and the book are all read from
 * it, so they cannot drift apart. */
#ifndef MODEL_CONFIG_TABLE_H
#define MODEL_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/model/config.h"

enum config_type {
	/* numbers, kept in a field of width 1 (bool), 4 (int, enum) or 8 (int64_t, ms_t) */
	CONFIG_BOOL,
	CONFIG_NUMBER,
	CONFIG_FACTOR, /* in hundredths */
	CONFIG_DURATION,
	CONFIG_SIZE,
	CONFIG_PERCENT,
	CONFIG_CHOICE, /* the index into words */
	CONFIG_SIGNAL,
	CONFIG_MODE, /* permission bits, octal */
	CONFIG_CLOSE_CODE, /* of a WebSocket Close frame */
	/* text */
	CONFIG_STRING, /* char * */
	CONFIG_STRINGS, /* char **, NULL-terminated */
	CONFIG_PAIRS, /* struct config_pair *, counted */
	/* nested */
	CONFIG_SECTION, /* an object */
	CONFIG_ENTRIES, /* an object of named entries: array of structs that begin with char *name, counted */
	CONFIG_ROWS, /* a list of objects: array of structs, counted */
	CONFIG_TYPE_COUNT
};

/* What a string must look like. */
enum config_syntax {
	CONFIG_TEXT, /* anything but nothing */
	CONFIG_ANYTHING, /* even nothing */
	CONFIG_PATH, /* absolute */
	CONFIG_SOCKET, /* an absolute path that fits into a Unix address */
	CONFIG_ADDRESS, /* host:port */
	CONFIG_TARGET, /* host:port or unix:PATH */
	CONFIG_URL, /* http or https */
	CONFIG_PREFIX, /* of a request's path */
	CONFIG_NETWORK, /* 10.0.0.0/8 */
	CONFIG_IDENTIFIER, /* of SQL, unquoted */
	CONFIG_LABEL, /* of a lease */
	CONFIG_DNS_LABEL, /* of a namespace of Kubernetes */
	CONFIG_REASON, /* of a Close frame */
	CONFIG_CRON, /* read by config_job, which has more to say than yes or no */
	CONFIG_ZONE, /* name of a time zone: Europe/Berlin */
	CONFIG_DSN,
	CONFIG_GLOB, /* base/glob.h */
	CONFIG_REFERENCE, /* to a thing of the configuration */
	CONFIG_SYNTAX_COUNT
};

struct config_word {
	const char *word; /* NULL ends the list */
	bool planned; /* known, but not available in this version */
};

#define CONFIG_NO_WORD INT64_MIN

struct config_key {
	const char *name;
	const char *text; /* the meaning, for schema and book */
	enum config_type type;
	enum config_syntax syntax; /* of STRING and each of STRINGS */
	bool required;
	bool planned; /* accepted by type, but not available in this version: drop the flag when it is */
	bool secret; /* shown nowhere */
	bool at_least_one; /* of STRINGS and ROWS */
	bool of_job; /* means something to a worker of the kind job alone */
	bool quiet; /* printed only when it is not its word ("any"), or not false */
	size_t offset, width; /* of the field in the section's struct; of a SECTION: where its struct lies */
	size_t count_offset; /* of PAIRS, ENTRIES and ROWS: size_t */
	const char *fallback; /* the default as one would write it, lists comma-separated; NULL: none */
	const char *fallback_text; /* for the book, when the default is no value */
	int64_t min, max; /* of numbers; max 0: no limit */
	const char *word; /* "none" or "inherit": a value of its own ... */
	int64_t word_value; /* ... kept as this number; a string is NULL */
	const struct config_word *words; /* of a CHOICE */
	unsigned things; /* of a REFERENCE: bits 1 << enum thing */
	enum thing bare; /* the thing that a name without "thing:" means */
	const struct config_section *section; /* of the nested types */
};

struct config_section {
	const char *name; /* in the schema's definitions */
	const char *text;
	const struct config_key *keys; /* ends with a NULL name */
	size_t size; /* of the struct of ENTRIES and ROWS */
	bool has_present; /* the struct has a bool that tells whether the section is there ... */
	size_t present_offset;
	const char *shorthand; /* a string in place of the section stands for this key */
};

/* The whole file; its struct is struct config. */
extern const struct config_section config_root;
/* The sections of one worker and so on, for defaults and comparisons. */
extern const struct config_section config_section_worker, config_section_browser, config_section_postgres,
	config_section_leases, config_section_volume, config_section_gateway;

/* Names of workers, browsers, ...: room for an instance's number in 63 bytes. */
#define CONFIG_NAME_MAX      48
#define CONFIG_ENTRIES_MAX   4096 /* of one kind */
#define CONFIG_INSTANCES_MAX 4096

#endif
