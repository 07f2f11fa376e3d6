#include "podvisor/runtime/leases.h"

#include <errno.h>
#include <stdlib.h>

#include "lease_kubernetes.h"
#include "lease_postgres.h"

/* One of the two is there: a reload cannot exchange them. */
struct leases {
	struct lease_postgres *postgres;
	struct lease_kubernetes *kubernetes;
};

int leases_new(struct leases **out, const struct context *c, struct err *err)
{
	struct leases *l = calloc(1, sizeof(*l));
	if (!l)
		return err_set(err, -ENOMEM, "out of memory");
	int rc = c->world->config->leases.backend == LEASE_BACKEND_KUBERNETES
			 ? lease_kubernetes_new(&l->kubernetes, c, err)
			 : lease_postgres_new(&l->postgres, c, err);
	if (rc < 0)
		free(l);
	else
		*out = l;
	return rc;
}

void leases_do(struct leases *l, const struct effect *e)
{
	if (l->kubernetes)
		lease_kubernetes_do(l->kubernetes, e);
	else
		lease_postgres_do(l->postgres, e);
}

void leases_free(struct leases *l)
{
	if (!l)
		return;
	lease_kubernetes_free(l->kubernetes);
	lease_postgres_free(l->postgres);
	free(l);
}
