{{- define "postgres.selector" -}}
app.kubernetes.io/name: postgres
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "postgres.labels" -}}
{{ include "postgres.selector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "postgres.jobLabels" -}}
app.kubernetes.io/name: postgres-job
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "postgres.image" -}}
{{ .repository }}:{{ .version }}@{{ .digest }}
{{- end -}}

{{- define "postgres.host" -}}
{{- if eq .Values.mode "external" }}{{ .Values.external.host }}{{ else }}{{ .Release.Name }}{{ end -}}
{{- end -}}

{{- define "postgres.port" -}}
{{- if eq .Values.mode "external" }}{{ .Values.external.port }}{{ else }}5432{{ end -}}
{{- end -}}

{{- define "postgres.podSecurity" -}}
runAsNonRoot: true
runAsUser: 999
runAsGroup: 999
fsGroup: 999
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end -}}

{{- define "postgres.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- define "postgres.bucketEnv" -}}
- { name: ENDPOINT, value: {{ .Values.backup.endpoint }} }
- { name: REGION, value: {{ .Values.backup.region }} }
- { name: BUCKET, value: {{ .Values.backup.bucket }} }
- { name: DIR, value: /dump }
- name: ACCESS_KEY
  valueFrom: { secretKeyRef: { name: {{ .Values.backup.secret }}, key: access-key } }
- name: SECRET_KEY
  valueFrom: { secretKeyRef: { name: {{ .Values.backup.secret }}, key: secret-key } }
{{- end -}}

{{- define "postgres.connectionEnv" -}}
- { name: DIR, value: /dump }
- { name: PGHOST, value: {{ include "postgres.host" . }} }
- { name: PGPORT, value: {{ include "postgres.port" . | quote }} }
- { name: PGDATABASE, value: {{ .Values.auth.database }} }
{{- if eq .Values.mode "external" }}
- { name: PGSSLMODE, value: require }
- name: PGUSER
  valueFrom: { secretKeyRef: { name: {{ .Values.auth.secret }}, key: username } }
- name: PGPASSWORD
  valueFrom: { secretKeyRef: { name: {{ .Values.auth.secret }}, key: password } }
{{- else }}
- { name: PGUSER, value: postgres }
- name: PGPASSWORD
  valueFrom: { secretKeyRef: { name: {{ .Values.auth.secret }}, key: superuser-password } }
{{- end }}
{{- end -}}

{{- define "postgres.refusals" -}}
{{- $v := .Values -}}
{{- $said := list -}}
{{- range $path, $image := dict "image" $v.image "backup.transfer" $v.backup.transfer -}}
{{- if not (regexMatch "^sha256:[0-9a-f]{64}$" $image.digest) -}}
{{- $said = append $said (printf "%s.digest: %q is no digest; give the sha256:... of the image that you have looked at" $path $image.digest) -}}
{{- end -}}
{{- end -}}
{{- if not (hasPrefix "16." $v.image.version) -}}
{{- $said = append $said (printf "image.version: %q is not PostgreSQL 16, and a data directory of one major version is not read by another; dump, then restore into a new release (docs/deploy.md)" $v.image.version) -}}
{{- end -}}
{{- if and (ne $v.mode "cnpg") (not $v.auth.secret) -}}
{{- $said = append $said "auth.secret: name the Secret with the keys username, password, superuser-password and uri (deploy/bootstrap makes postgres-app)" -}}
{{- end -}}
{{- if and (eq $v.mode "external") (not $v.external.host) -}}
{{- $said = append $said "external.host: in mode external name the server, or choose another mode" -}}
{{- end -}}
{{- if and (eq $v.mode "cnpg") (not (regexMatch "@sha256:[0-9a-f]{64}$" $v.cnpg.image)) -}}
{{- $said = append $said "cnpg.image: give the operator's PostgreSQL 16 image by digest, such as ghcr.io/cloudnative-pg/postgresql:16...@sha256:..." -}}
{{- end -}}
{{- if and (eq $v.mode "cnpg") $v.restore.enabled -}}
{{- $said = append $said "restore: in mode cnpg the operator restores, also to a point in time (docs/deploy.md); set restore.enabled to false" -}}
{{- end -}}
{{- if or $v.backup.enabled $v.restore.enabled -}}
{{- range $key := list "endpoint" "region" "bucket" "secret" -}}
{{- if not (get $v.backup $key) -}}
{{- $said = append $said (printf "backup.%s: dumps need an object store; set it, or set backup.enabled to false and know that there is no backup" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $v.restore.enabled (not $v.restore.object) -}}
{{- $said = append $said "restore.object: name the dump in the bucket, such as postgres/app-20260101T031700Z.dump" -}}
{{- end -}}
{{- range $key := list "data_checksums" "password_encryption" "listen_addresses" "fsync" "full_page_writes" -}}
{{- if hasKey $v.settings $key -}}
{{- $said = append $said (printf "settings.%s: is the chart's to set; take it out" $key) -}}
{{- end -}}
{{- end -}}
{{- if $said -}}
{{- fail (printf "\n\nthe values cannot be deployed:\n  - %s\n" (join "\n  - " $said)) -}}
{{- end -}}
{{- end -}}
