/* kubernetes_api owns the way to the API server of the cluster that the pod runs in: its address from the environment,
 * where every client finds it, the certificate that it is known by, and the token of the pod's service account, which
 * is read anew for each request, because the kubelet exchanges it. Bodies are JSON. The token stands in no sentence. */
#ifndef PODVISOR_RUNTIME_KUBERNETES_API_H
#define PODVISOR_RUNTIME_KUBERNETES_API_H

#include <jansson.h>

#include "podvisor/base/clock.h"
#include "podvisor/base/err.h"
#include "podvisor/io/loop.h"

struct kubernetes_api;
struct kubernetes_call;

/* Borrowed for the call only. */
struct kubernetes_request {
	const char *method, *path; /* the path from "/apis/" on, escaped */
	const json_t *body; /* NULL: none */
	ms_t timeout; /* to the last byte */
	/* A watch: each line of the answer as it comes; it must not touch the API. NULL: the body is one. */
	void (*line)(void *ctx, json_t *object);
};

struct kubernetes_reply {
	int status; /* of HTTP; 0: there was no answer */
	json_t *body; /* borrowed; NULL: none, or no JSON */
	char text[160]; /* why it was not done, for people; "": it was */
};

/* folder: of the service account. */
int kubernetes_api_new(struct kubernetes_api **out, struct loop *l, const char *folder, struct err *err) MUST_CHECK;
/* Aborts what is under way, without replies. NULL is fine. Not from within a reply. */
void kubernetes_api_free(struct kubernetes_api *a);
/* The namespace of the pod. */
int kubernetes_api_namespace(const struct kubernetes_api *a, char *out, size_t size, struct err *err) MUST_CHECK;
/* done is called once, never from within this call, unless the call is aborted first; the call is gone when it returns.
 */
int kubernetes_api_send(struct kubernetes_api *a, const struct kubernetes_request *request,
	void (*done)(void *ctx, const struct kubernetes_reply *reply), void *ctx, struct kubernetes_call **out,
	struct err *err) MUST_CHECK;
void kubernetes_call_abort(struct kubernetes_call *call);

#endif
