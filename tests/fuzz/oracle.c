#include "oracle.h"

#include <llhttp.h>
#include <string.h>

static struct oracle_request answer;
static bool in_value; /* the last field has its value */

/* Of bytes that were given at once each span comes as one piece, or as several that touch. */
static void extend(struct span *s, const char *at, size_t len)
{
	if (s->at && s->at + s->len == at)
		s->len += len;
	else
		*s = (struct span){at, len};
}

static int on_method(llhttp_t *p, const char *at, size_t len)
{
	(void)p;
	extend(&answer.method, at, len);
	return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
	(void)p;
	extend(&answer.target, at, len);
	return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t len)
{
	(void)p;
	if (answer.head)
		return 0; /* trailers */
	if (in_value || !answer.n_fields) {
		if (answer.n_fields == ORACLE_FIELDS_MAX)
			return -1;
		answer.fields[answer.n_fields++] = (struct oracle_field){0};
	}
	in_value = false;
	extend(&answer.fields[answer.n_fields - 1].name, at, len);
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
	(void)p;
	if (answer.head)
		return 0;
	in_value = true;
	extend(&answer.fields[answer.n_fields - 1].value, at, len);
	return 0;
}

static int on_head(llhttp_t *p)
{
	answer.head = true;
	answer.minor = p->http_minor;
	answer.chunked = p->flags & F_CHUNKED;
	answer.has_length = p->flags & F_CONTENT_LENGTH;
	answer.length = p->content_length;
	return HPE_PAUSED; /* to learn where it ends */
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
	(void)p;
	return buf_put(&answer.body, at, len);
}

static int on_whole(llhttp_t *p)
{
	(void)p;
	answer.whole = true;
	return HPE_PAUSED;
}

static llhttp_settings_t settings(void)
{
	llhttp_settings_t s;
	llhttp_settings_init(&s);
	s.on_method = on_method;
	s.on_url = on_url;
	s.on_header_field = on_field;
	s.on_header_value = on_value;
	s.on_headers_complete = on_head;
	s.on_body = on_body;
	s.on_message_complete = on_whole;
	return s;
}

bool oracle_knows_method(struct span method)
{
#define KNOWN(number, name, text) #text,
	static const char *const known[] = {HTTP_METHOD_MAP(KNOWN)};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (span_equals(method, known[i]))
			return !span_equals(method, "SOURCE"); /* of another protocol, ICE */
	return false;
}

static size_t position(const llhttp_t *p, struct span bytes)
{
	return (size_t)(llhttp_get_error_pos(p) - bytes.at);
}

const struct oracle_request *oracle_ask(struct span bytes)
{
	llhttp_t p;
	llhttp_settings_t how = settings();
	buf_fini(&answer.body);
	memset(&answer, 0, sizeof(answer));
	in_value = false;
	buf_init(&answer.body, ORACLE_BODY_MAX);
	llhttp_init(&p, HTTP_REQUEST, &how);
	llhttp_errno_t rc = llhttp_execute(&p, bytes.at, bytes.len);
	if (rc == HPE_PAUSED && answer.head) {
		answer.head_bytes = position(&p, bytes);
		llhttp_resume(&p);
		rc = llhttp_execute(&p, bytes.at + answer.head_bytes, bytes.len - answer.head_bytes);
	}
	if (answer.whole)
		answer.bytes = position(&p, bytes);
	else if (rc != HPE_OK)
		answer.why = llhttp_get_error_reason(&p);
	return &answer;
}
