{{- define "platform.labels" -}}
app.kubernetes.io/name: platform
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "platform.refusals" -}}
{{- $said := list -}}
{{- if not .Values.email -}}
{{- $said = append $said "email: Let's Encrypt needs an address of yours; give it with --set email=... (deploy/bootstrap takes it from its settings)" -}}
{{- end -}}
{{- if not .Values.environments -}}
{{- $said = append $said "environments: there is none, so there would be no issuer; keep stage or prod" -}}
{{- end -}}
{{- $hosts := dict -}}
{{- range $name, $environment := .Values.environments -}}
{{- $staging := contains "acme-staging" $environment.acme -}}
{{- if and (eq $name "stage") (not $staging) -}}
{{- $said = append $said "environments.stage.acme: stage must use Let's Encrypt's staging address (https://acme-staging-v02.api.letsencrypt.org/directory), or it spends the limits of production" -}}
{{- else if and (eq $name "prod") $staging -}}
{{- $said = append $said "environments.prod.acme: no browser trusts certificates of the staging address; use https://acme-v02.api.letsencrypt.org/directory" -}}
{{- end -}}
{{- range $environment.hosts -}}
{{- if hasKey $hosts . -}}
{{- $said = append $said (printf "environments.%s.hosts: %s is already a host of %s; a name belongs to one environment" $name . (get $hosts .)) -}}
{{- end -}}
{{- $_ := set $hosts . $name -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.solver "gateway") (not .Values.gateway.enabled) -}}
{{- $said = append $said "solver: gateway needs gateway.enabled true; enable it, or set solver to ingress" -}}
{{- end -}}
{{- if $said -}}
{{- fail (printf "\n\nthe values cannot be deployed:\n  - %s\n" (join "\n  - " $said)) -}}
{{- end -}}
{{- end -}}
