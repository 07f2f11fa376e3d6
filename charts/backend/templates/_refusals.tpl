{{- /*
Every mistake that the schema cannot see, all of them in one run. Each sentence says where, what is wrong and what to do.
*/ -}}
{{- define "backend.refusals" -}}
{{- $v := .Values -}}
{{- $said := list -}}
{{- if not (regexMatch "^sha256:[0-9a-f]{64}$" $v.image.digest) -}}
{{- $said = append $said (printf "image.digest: %q is no digest; give the sha256:... that deploy/image printed (deploy/deploy --digest does it): a tag can change under a deployment that runs" $v.image.digest) -}}
{{- end -}}
{{- $sizes := dict "resources.limits.memory" $v.resources.limits.memory "resources.requests.memory" $v.resources.requests.memory "processMemory" $v.processMemory -}}
{{- range $name, $disk := $v.ramDisks }}{{ $_ := set $sizes (printf "ramDisks.%s.size" $name) $disk.size }}{{ end -}}
{{- $clear := true -}}
{{- range $path, $size := $sizes -}}
{{- if lt (include "backend.bytes" $size | int64) 0 -}}
{{- $clear = false -}}
{{- $said = append $said (printf "%s: %q is no size; write it as Kubernetes does, such as 512Mi or 2Gi" $path (toString $size)) -}}
{{- end -}}
{{- end -}}
{{- if $clear -}}
{{- $limit := include "backend.bytes" $v.resources.limits.memory | int64 -}}
{{- $request := include "backend.bytes" $v.resources.requests.memory | int64 -}}
{{- $disks := include "backend.ramDisks" . | int64 -}}
{{- $needed := include "backend.bytes" $v.processMemory | int64 -}}
{{- if gt (add $disks $needed) $limit -}}
{{- $said = append $said (printf "ramDisks: when they are full they take %sMi, which leaves %sMi of resources.limits.memory (%sMi) for processes, and processMemory asks for %sMi; make the RAM disks smaller or the limit at least %sMi" (include "backend.mebibytes" $disks) (include "backend.mebibytes" (sub $limit $disks)) (include "backend.mebibytes" $limit) (include "backend.mebibytes" $needed) (include "backend.mebibytes" (add $disks $needed))) -}}
{{- end -}}
{{- if gt $request $limit -}}
{{- $said = append $said (printf "resources.requests.memory: %s is more than resources.limits.memory (%s); a pod cannot ask for more than it may use: lower the request" $v.resources.requests.memory $v.resources.limits.memory) -}}
{{- end -}}
{{- end -}}
{{- $paths := dict -}}
{{- range $name, $disk := omit $v.ramDisks "shm" -}}
{{- if hasKey $paths $disk.path -}}
{{- $said = append $said (printf "ramDisks.%s.path: %s is already the path of ramDisks.%s; give each RAM disk a path of its own" $name $disk.path (get $paths $disk.path)) -}}
{{- end -}}
{{- $_ := set $paths $disk.path $name -}}
{{- end -}}
{{- if eq (int $v.ports.gateway) (int $v.ports.control) -}}
{{- $said = append $said (printf "ports: gateway and control are both %d; give each a port of its own" (int $v.ports.gateway)) -}}
{{- end -}}
{{- $deadline := include "backend.ms" $v.shutdown.deadline | int64 -}}
{{- if lt $deadline 0 -}}
{{- $said = append $said (printf "shutdown.deadline: %q is no duration; write it as podvisor does, such as 55s or 1m30s" $v.shutdown.deadline) -}}
{{- else -}}
{{- if lt (mul (int $v.terminationGracePeriodSeconds) 1000) (add $deadline 3000) -}}
{{- $said = append $said (printf "terminationGracePeriodSeconds: %d is too short for shutdown.deadline %s: podvisor ends up to 2 s after it, and Kubernetes would kill it in the middle of the drain; set at least %d, or a shorter deadline" (int $v.terminationGracePeriodSeconds) $v.shutdown.deadline (div (add $deadline 3999) 1000)) -}}
{{- end -}}
{{- if $v.podvisor.gateway -}}
{{- $drain := include "backend.drain" . | int64 -}}
{{- $stop := 0 -}}
{{- range $name, $worker := $v.podvisor.workers -}}
{{- if eq (dig "stop" "phase" "on-term" $worker) "after-drain" -}}
{{- $stop = max $stop (include "backend.ms" (dig "stop" "timeout" "10s" $worker) | int64) -}}
{{- end -}}
{{- end -}}
{{- if lt $deadline (add $drain $stop) -}}
{{- $said = append $said (printf "shutdown.deadline: %s is shorter than the drain's budget: podvisor.gateway.drain may take %dms, and the workers that stop after it %dms; set at least %ds, and terminationGracePeriodSeconds with it, or shorten podvisor.gateway.drain" $v.shutdown.deadline $drain $stop (div (add $drain $stop 999) 1000)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and (eq (int $v.strategy.maxSurge) 0) (eq (int $v.strategy.maxUnavailable) 0) -}}
{{- $said = append $said "strategy: with maxSurge 0 and maxUnavailable 0 no update can ever begin; set maxSurge to 1" -}}
{{- end -}}
{{- if gt (int $v.replicaCount) 1 -}}
{{- if not $v.podvisor.leases -}}
{{- $said = append $said (printf "replicaCount: %d without podvisor.leases would run every worker %d times; set podvisor.leases (docs/leases.md), or replicaCount to 1" (int $v.replicaCount) (int $v.replicaCount)) -}}
{{- end -}}
{{- range $name, $worker := $v.podvisor.workers -}}
{{- if not (or $worker.lease (eq (default "service" $worker.kind) "task") (has $name $v.replicas.everywhere)) -}}
{{- $said = append $said (printf "podvisor.workers.%s: without a lease it would run in all %d replicas at once; give it a lease, or name it in replicas.everywhere if that does no harm" $name (int $v.replicaCount)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $name := $v.replicas.everywhere -}}
{{- if not (hasKey $v.podvisor.workers $name) -}}
{{- $said = append $said (printf "replicas.everywhere: there is no worker %q in podvisor.workers; take the name out or write it as it is there" $name) -}}
{{- end -}}
{{- end -}}
{{- range $name, $browser := default dict $v.podvisor.browsers -}}
{{- if not (hasKey (omit $v.ramDisks "shm") (default "" $browser.volume)) -}}
{{- $said = append $said (printf "podvisor.browsers.%s.volume: there is no RAM disk %q in ramDisks; name one of: %s" $name (default "" $browser.volume) (join ", " (keys (omit $v.ramDisks "shm") | sortAlpha))) -}}
{{- end -}}
{{- end -}}
{{- if not $v.database.secret -}}
{{- $said = append $said "database.secret: the workers need DATABASE_URL; name the Secret that holds it (charts/postgres and deploy/bootstrap make postgres-app)" -}}
{{- end -}}
{{- if $v.secrets.external.enabled -}}
{{- if or (not $v.secrets.external.store.name) (not $v.secrets.external.key) -}}
{{- $said = append $said "secrets.external: name the store (secrets.external.store.name) and the entry in it (secrets.external.key), or set enabled to false" -}}
{{- end -}}
{{- else if and $v.secrets.required (not $v.secrets.existing) -}}
{{- $said = append $said "secrets.existing: name the Secret with the workers' secret settings, or enable secrets.external; if there are none, set secrets.required to false" -}}
{{- end -}}
{{- if and (ne $v.routing.mode "none") (not $v.routing.host) -}}
{{- $said = append $said (printf "routing.host: in mode %s the name that clients use is needed, such as backend.stage.newmarkettrading.com; values-stage.yaml and values-prod.yaml have it, or set routing.mode to none" $v.routing.mode) -}}
{{- end -}}
{{- if and (ne $v.routing.mode "none") (not $v.podvisor.gateway) -}}
{{- $said = append $said (printf "podvisor.gateway: in mode %s there must be a gateway to route to; give it routes, or set routing.mode to none" $v.routing.mode) -}}
{{- end -}}
{{- if and (eq $v.routing.mode "gateway") (not $v.routing.gateway.httpsSection) -}}
{{- $said = append $said "routing.gateway.httpsSection: name the Gateway's listener for this host (charts/platform makes https-stage and https-prod)" -}}
{{- end -}}
{{- if and (eq $v.routing.mode "ingress") $v.certificate.enabled (not $v.certificate.issuer.name) -}}
{{- $said = append $said "certificate.issuer.name: name the issuer of the certificate (charts/platform makes letsencrypt-stage and letsencrypt-prod), or set certificate.enabled to false" -}}
{{- end -}}
{{- if and (eq $v.seccomp.type "Localhost") (not $v.seccomp.localhostProfile) -}}
{{- $said = append $said "seccomp.localhostProfile: with type Localhost name the profile's file below the kubelet's seccomp directory, such as chrome.json" -}}
{{- end -}}
{{- if $v.podDisruptionBudget.enabled -}}
{{- $pdb := $v.podDisruptionBudget -}}
{{- if not (kindIs "invalid" $pdb.minAvailable) -}}
{{- if or (hasSuffix "%" (toString $pdb.minAvailable)) (ge (int $pdb.minAvailable) (int $v.replicaCount)) -}}
{{- $said = append $said (printf "podDisruptionBudget.minAvailable: %v of %d replicas would block every node drain; leave it out and keep maxUnavailable 1" $pdb.minAvailable (int $v.replicaCount)) -}}
{{- end -}}
{{- if not (kindIs "invalid" $pdb.maxUnavailable) -}}
{{- $said = append $said "podDisruptionBudget: minAvailable and maxUnavailable exclude each other; set the other one to null" -}}
{{- end -}}
{{- else if has (toString $pdb.maxUnavailable) (list "0" "0%" "<nil>") -}}
{{- $said = append $said "podDisruptionBudget.maxUnavailable: 0 would block every node drain; set it to 1" -}}
{{- end -}}
{{- end -}}
{{- if $said -}}
{{- fail (printf "\n\nthe values cannot be deployed:\n  - %s\n" (join "\n  - " $said)) -}}
{{- end -}}
{{- end -}}
