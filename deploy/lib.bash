# What the scripts of deploy/ share; sourced, not run. Every command that changes something goes through `change`.
# shellcheck shell=bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
me=deploy/$(basename "$0")
dry_run=

say() { printf '%s\n' "$*" >&2; }
usage_error() {
	say "$me: $*; --help shows what there is"
	exit 64
}
fail() {
	say "$me: $*"
	exit 1
}
need() {
	local tool
	for tool in "$@"; do
		command -v "$tool" >/dev/null || {
			say "$me: $tool is not installed"
			exit 69
		}
	done
}

# Runs a command that changes something, or says what it would be.
change() {
	if [[ -n $dry_run ]]; then
		printf 'would run:' && printf ' %q' "$@" && echo
	else
		"$@"
	fi
}

# Ends the script when an option has no value: want_value "$@".
want_value() {
	if (($# < 2)) || [[ -z $2 ]]; then
		usage_error "$1 wants a value"
	fi
}

want_environment() {
	[[ $1 == stage || $1 == prod ]] || usage_error "--env is stage or prod, not \"$1\""
}

want_digest() {
	[[ $1 =~ ^sha256:[0-9a-f]{64}$ ]] ||
		usage_error "--digest wants sha256: and 64 hexadecimal digits, as deploy/image prints it, not \"$1\"; a tag can change under a deployment"
}

host_of() {
	local values=$root/charts/backend/values-$1.yaml
	sed -n 's/^  host: *//p' "$values"
}

# Helm's major version decides how its flags are called.
helm_major() {
	local version
	version=$(helm version --template '{{.Version}}')
	case $version in
	v3.*) echo 3 ;;
	v4.*) echo 4 ;;
	*) fail "helm is ${version:-of an unknown version}; 3 or 4 is needed" ;;
	esac
}

# Whether the release answers: the chart's own test inside the cluster, then its name from outside.
smoke_test() {
	local environment=$1 status host
	host=$(host_of "$environment")
	change helm test backend --namespace "$environment" --timeout 3m || return 1
	[[ -z $dry_run ]] || return 0
	status=$(curl --silent --show-error --output /dev/null --write-out '%{http_code}' --max-time 20 \
		--retry 5 --retry-connrefused --retry-max-time 120 ${SMOKE_CURL_OPTIONS:+$SMOKE_CURL_OPTIONS} "https://$host/") || return 1
	say "https://$host/ answers $status"
	((status >= 100 && status < 500))
}

# The newest revision that was in service, or nothing when there is no release yet.
deployed_revision() {
	local history
	if ! history=$(helm history backend --namespace "$1" --max 50 --output json 2>&1); then
		[[ $history == *"not found"* ]] || fail "the history of backend in $1 cannot be read: $history"
		return 0
	fi
	python3 -c 'import json, sys
good = [r["revision"] for r in json.load(sys.stdin) if r["status"] == "deployed"]
print(max(good) if good else "")' <<<"$history"
}
