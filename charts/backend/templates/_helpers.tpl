{{- define "backend.name" -}}
{{- if contains "backend" .Release.Name }}{{ .Release.Name | trunc 52 | trimSuffix "-" }}{{ else }}{{ printf "%s-backend" (.Release.Name | trunc 44 | trimSuffix "-") }}{{ end -}}
{{- end -}}

{{- define "backend.selector" -}}
app.kubernetes.io/name: backend
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "backend.labels" -}}
{{ include "backend.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "backend.image" -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- end -}}

{{- /* Bytes of a size as Kubernetes writes it; -1 when it is none. */ -}}
{{- define "backend.bytes" -}}
{{- $text := toString . -}}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "T" 1000000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- if regexMatch "^[0-9]+(\\.[0-9]+)?([kMGT]|[KMGT]i)?$" $text -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" $text -}}
{{- mulf (float64 $number) (get $units (trimPrefix $number $text)) | floor | int64 -}}
{{- else -}}-1{{- end -}}
{{- end -}}

{{- /* Milliseconds of a duration as podvisor writes it; -1 when it is none. */ -}}
{{- define "backend.ms" -}}
{{- $text := toString . -}}
{{- $units := dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000 "d" 86400000 -}}
{{- if regexMatch "^([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+$" $text -}}
{{- $sum := 0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)" $text -1 -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" . -}}
{{- $sum = add $sum (mulf (float64 $number) (get $units (trimPrefix $number .)) | int64) -}}
{{- end -}}
{{- $sum -}}
{{- else -}}-1{{- end -}}
{{- end -}}

{{- define "backend.mebibytes" -}}
{{- div . 1048576 -}}
{{- end -}}

{{- /* What all RAM disks together take when they are full, in bytes. */ -}}
{{- define "backend.ramDisks" -}}
{{- $sum := 0 -}}
{{- range $name, $disk := .Values.ramDisks -}}
{{- $sum = add $sum (include "backend.bytes" $disk.size | int64) -}}
{{- end -}}
{{- $sum -}}
{{- end -}}

{{- /* The longest that the gateway's drain takes, in milliseconds: docs/drain.md. */ -}}
{{- define "backend.drain" -}}
{{- $drain := merge (dict) (default dict .Values.podvisor.gateway.drain) (dict "lame_duck" "5s" "http_grace" "20s" "spread" "20s"
	"message_wait" "2s" "boundary_wait" "5s" "close_timeout" "5s" "linger" "2s") -}}
{{- $ms := dict -}}
{{- range $key, $value := $drain -}}
{{- if not (has $key (list "code" "reason")) }}{{ $_ := set $ms $key (include "backend.ms" $value | int64) }}{{ end -}}
{{- end -}}
{{- $sockets := add $ms.spread $ms.message_wait $ms.boundary_wait $ms.close_timeout -}}
{{- add $ms.lame_duck (max $ms.http_grace $sockets) $ms.linger -}}
{{- end -}}

{{- /* podvisor.json, as a YAML text. */ -}}
{{- define "backend.podvisor" -}}
{{- $config := deepCopy .Values.podvisor -}}
{{- range list "memory" "postgres" "leases" "browsers" -}}
{{- if not (get $config .) }}{{ $_ := unset $config . }}{{ end -}}
{{- end -}}
{{- $_ := set $config "instance" "${HOSTNAME}" -}}
{{- $_ := set $config "control" (dict "listen" (printf "0.0.0.0:%d" (int .Values.ports.control)) "socket" "/run/podvisor/control.sock") -}}
{{- $_ := set $config "shutdown" (dict "deadline" .Values.shutdown.deadline "termination_log" "/dev/termination-log") -}}
{{- $volumes := dict -}}
{{- range $name, $disk := omit .Values.ramDisks "shm" -}}
{{- $_ := set $volumes $name (merge (dict "path" $disk.path "size" $disk.size) (default dict $disk.podvisor)) -}}
{{- end -}}
{{- $_ := set $config "volumes" $volumes -}}
{{- if $config.gateway -}}
{{- $_ := set $config.gateway "listen" (printf "0.0.0.0:%d" (int .Values.ports.gateway)) -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}

{{- define "backend.json" -}}
{{- include "backend.podvisor" . | fromYaml | toPrettyJson -}}
{{- end -}}

{{- define "backend.secret" -}}
{{- if .Values.secrets.external.enabled }}{{ include "backend.name" . }}-env{{ else }}{{ .Values.secrets.existing }}{{ end -}}
{{- end -}}
