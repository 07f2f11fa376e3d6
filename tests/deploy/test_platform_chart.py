"""charts/platform: issuers for stage and prod, and the Gateway."""
import pytest

from charts import HELMS, at, refusal, rendered

GIVEN = {"email": "ops@example.org"}


@pytest.mark.parametrize("environment, server", [
    ("stage", "https://acme-staging-v02.api.letsencrypt.org/directory"),
    ("prod", "https://acme-v02.api.letsencrypt.org/directory")])
@pytest.mark.parametrize("helm", HELMS)
def test_stage_has_lets_encrypts_staging_and_prod_its_production(helm, environment, server):
    issuer = rendered(helm, "platform", values=GIVEN)["ClusterIssuer", f"letsencrypt-{environment}"]
    assert at(issuer, "spec", "acme", "server") == server
    assert at(issuer, "spec", "acme", "email") == "ops@example.org"
    assert at(issuer, "spec", "acme", "solvers") == [{"http01": {"ingress": {"ingressClassName": "nginx"}}}]
    assert at(issuer, "spec", "acme", "privateKeySecretRef") == {"name": f"letsencrypt-{environment}-account"}


def test_the_backends_issuers_are_those_of_the_platform():
    issuers = {name for kind, name in rendered("helm4", "platform", values=GIVEN) if kind == "ClusterIssuer"}
    for environment in "stage", "prod":
        backend = rendered("helm4", "backend", f"values-{environment}.yaml", values={"image": {"digest": "sha256:" + "a" * 64}})
        assert at(backend["Certificate", "backend"], "spec", "issuerRef", "name") in issuers


def test_the_gateway_listens_for_what_the_backends_route():
    platform = rendered("helm4", "platform", values={**GIVEN, "solver": "gateway", "gateway": {"enabled": True}})
    gateway = platform["Gateway", "public"]
    assert at(gateway, "spec", "gatewayClassName") == "cilium"
    assert at(gateway, "spec", "listeners", {"name": "http"}, "port") == 80
    for environment in "stage", "prod":
        backend = rendered("helm4", "backend", f"values-{environment}.yaml",
                           values={"image": {"digest": "sha256:" + "a" * 64}, "routing": {"mode": "gateway"}})
        route = backend["HTTPRoute", "backend"]
        listener = at(gateway, "spec", "listeners", {"name": at(route, "spec", "parentRefs", 0, "sectionName")})
        assert [listener["hostname"]] == at(route, "spec", "hostnames")
        certificate = at(platform["Certificate", f"public-{environment}"], "spec")
        assert at(listener, "tls", "certificateRefs", 0, "name") == certificate["secretName"]
        assert certificate["dnsNames"] == at(route, "spec", "hostnames")
        assert certificate["issuerRef"]["name"] == f"letsencrypt-{environment}"
    solver = at(platform["ClusterIssuer", "letsencrypt-prod"], "spec", "acme", "solvers", 0, "http01", "gatewayHTTPRoute", "parentRefs", 0)
    assert solver == {"kind": "Gateway", "name": "public", "namespace": "test", "sectionName": "http"}


def test_without_it_there_is_no_gateway():
    assert {kind for kind, _ in rendered("helm4", "platform", values=GIVEN)} == {"ClusterIssuer"}


STAGE = "https://acme-staging-v02.api.letsencrypt.org/directory"
PROD = "https://acme-v02.api.letsencrypt.org/directory"
MISTAKES = {
    "no address": ({"email": ""}, "email: Let's Encrypt needs an address of yours"),
    "no environment": ({"environments": {"stage": None, "prod": None}}, "environments: there is none"),
    "production for stage": ({"environments": {"stage": {"acme": PROD}}}, "environments.stage.acme: stage must use Let's Encrypt's staging address"),
    "staging for production": ({"environments": {"prod": {"acme": STAGE}}}, "environments.prod.acme: no browser trusts certificates of the staging address"),
    "a name of both": ({"environments": {"prod": {"hosts": ["backend.stage.newmarkettrading.com"]}}},
                       "environments.stage.hosts: backend.stage.newmarkettrading.com is already a host of prod"),
    "a solver without a gateway": ({"solver": "gateway"}, "solver: gateway needs gateway.enabled true"),
    "an address that is none": ({"email": "ops"}, "/email"),
    "a key misspelt": ({"mail": "a@example.org"}, "mail"),
    "plain http": ({"environments": {"prod": {"acme": "http://acme"}}}, "/environments/prod/acme"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("helm", HELMS)
def test_a_mistake_is_refused_with_what_to_do(helm, mistake):
    values, sentence = MISTAKES[mistake]
    assert sentence in refusal(helm, "platform", {**GIVEN, **values})
