/* gateway_fixture owns a gateway that turns in a thread of its own, so that the
 * test is client and backend at once, with plain blocking sockets. Whatever
 * takes longer than GATEWAY_PATIENCE_MS fails the test. */
#ifndef GATEWAY_FIXTURE_H
#define GATEWAY_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "podvisor/model/event.h"
#include "podvisor/model/plan.h"
#include "podvisor/model/snapshot.h"

#define GATEWAY_PATIENCE_MS 8000

struct gateway_fixture;

/* A gateway with one worker, "api", that is ready, and a backend's listening socket of the test. gateway: members of
 * the gateway's section, besides listen and routes, e.g. "\"hold\": \"1s\""; routes NULL: "/" to the backend, else
 * the list, in which "BACKEND" stands for its address. It listens when this returns. */
struct gateway_fixture *gateway_start(const char *gateway, const char *routes);
void gateway_end(struct gateway_fixture *f);
/* Of a test: ends the one that was started last, if it still goes. */
int gateway_tear_down(void **state);

/* A new client's or a new backend's connection; blocking with the patience. */
int gateway_client(struct gateway_fixture *f);
int gateway_backend(struct gateway_fixture *f);
/* The backend stops listening, and listens again at the same address. */
void gateway_backend_stop(struct gateway_fixture *f);
void gateway_backend_start(struct gateway_fixture *f);

/* In the gateway's thread, one after the other. */
void gateway_effect(struct gateway_fixture *f, enum effect_kind kind, int64_t value);
void gateway_worker(struct gateway_fixture *f, bool ready);
/* The meters as they are now. */
void gateway_meters(struct gateway_fixture *f, struct gateway_meter *out);
/* CPU time that the gateway's thread has used, and how often its loop has turned. */
uint64_t gateway_turns(struct gateway_fixture *f);
/* Waits for the event; false: it did not come in time. */
bool gateway_awaits(struct gateway_fixture *f, enum event_kind kind, int within_ms, struct event *out);
int gateway_count(struct gateway_fixture *f, enum event_kind kind);

/* ---- sockets ---- */

void put(int fd, const char *text);
void put_bytes(int fd, const void *bytes, size_t n);
/* Exactly n bytes. */
void get_bytes(int fd, void *bytes, size_t n);
/* Up to and with the empty line. */
void get_head(int fd, char *out, size_t size);
/* Everything up to the end of the stream; its length. */
size_t get_rest(int fd, char *out, size_t size);
/* What comes next is the orderly end. */
void get_end(int fd);
/* Nothing comes within that time. */
void get_nothing(int fd, int ms);
int64_t milliseconds(void);

/* A WebSocket through the gateway: both ends after the handshake. */
struct pair {
	int client, backend;
};
struct pair gateway_websocket(struct gateway_fixture *f);

#endif
