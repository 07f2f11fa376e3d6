#include "podvisor/control/dashboard.h"

#include <stdio.h>
#include <string.h>

#define MARK "{{nonce}}"

/* The path is that of the source tree's root, where the compiler is called. */
__asm__(".section .rodata\n"
	".global dashboard_html\n"
	"dashboard_html:\n"
	".incbin \"supervisor/control/dashboard.html\"\n"
	".byte 0\n"
	".previous\n");
extern const char dashboard_html[];

void dashboard_answer(const char nonce[DASHBOARD_NONCE + 1], struct answer *a)
{
	a->status = 200;
	a->type = "text/html; charset=utf-8";
	snprintf(a->headers, sizeof(a->headers),
		"Content-Security-Policy: default-src 'none'; style-src 'nonce-%s'; "
		"script-src 'nonce-%s'; "
		"connect-src 'self'; img-src data:; base-uri 'none'; form-action "
		"'none'; frame-ancestors 'none'\r\n"
		"Referrer-Policy: no-referrer\r\n",
		nonce, nonce);
	const char *at = dashboard_html;
	for (const char *mark; (mark = strstr(at, MARK)); at = mark + strlen(MARK)) {
		buf_put(a->body, at, (size_t)(mark - at));
		buf_puts(a->body, nonce);
	}
	buf_puts(a->body, at);
}
