{{/*
The settings of one process, as JSON: {root, component}. A process gets no section and no secret that it has no use for:
  gateway   all but the audit log's key and guard models' keys
  screener  neither keys of callers nor of vLLM, nor limits
  enforcer  the same, and no guard models' keys
  console   as the gateway, but for vLLM's keys and limits, and with the audit log's key
  migrate   the store
*/}}
{{- define "watchgate.settings" -}}
{{- $component := .component -}}
{{- $values := .root.Values -}}
{{- $settings := deepCopy $values.settings -}}
{{- $_ := set $settings "data_dir" "/var/lib/watchgate/data" -}}
{{- $_ := set $settings "ops" (dict "host" "0.0.0.0") -}}
{{- $_ := set $settings.event_log "kind" "kafka" -}}
{{- with get $values $component -}}
{{- if .journal -}}
{{- $_ := set $settings "journal" (merge (dict "max_bytes" .journal.maxBytes) ($settings.journal | default dict)) -}}
{{- end -}}
{{- end -}}
{{- if eq $component "gateway" -}}
{{- $_ := set $settings "gateway" (merge (dict "host" "0.0.0.0" "port" 8080) ($settings.gateway | default dict)) -}}
{{- if eq $settings.limits.kind "redis" -}}
{{- $_ := set $settings.limits "gateways" (include "watchgate.gateways" .root | int) -}}
{{- end -}}
{{- else -}}
{{- $_ := unset $settings "limits" -}}
{{- $_ := set $settings "upstreams" (include "watchgate.without" (dict "list" $settings.upstreams "keys" (list "api_key" "ca_file" "cert_file" "key_file")) | fromJsonArray) -}}
{{- end -}}
{{- if ne $component "screener" -}}
{{- $_ := set $settings "detectors" (include "watchgate.without" (dict "list" $settings.detectors "keys" (list "api_key")) | fromJsonArray) -}}
{{- end -}}
{{- if eq $component "console" -}}
{{- $_ := set $settings "console" (merge (dict "host" "0.0.0.0" "port" 8081) ($settings.console | default dict)) -}}
{{- end -}}
{{- if not (has $component (list "gateway" "console")) -}}
{{- $_ := unset $settings "auth" -}}
{{- end -}}
{{- if not (has $component (list "enforcer" "console")) -}}
{{- $_ := unset $settings "audit" -}}
{{- end -}}
{{- if eq $component "migrate" -}}
{{- $settings = pick $settings "data_dir" "store" "upstreams" "models" "detectors" "operating_points" "screening" "log_level" -}}
{{- end -}}
{{- toPrettyJson $settings -}}
{{- end -}}

{{/* A list of sections without some of their keys, as JSON. */}}
{{- define "watchgate.without" -}}
{{- $kept := list -}}
{{- range .list -}}
{{- $one := deepCopy . -}}
{{- range $.keys -}}{{- $_ := unset $one . -}}{{- end -}}
{{- $kept = append $kept $one -}}
{{- end -}}
{{- toJson $kept -}}
{{- end -}}

{{/* How many gateways there may be. */}}
{{- define "watchgate.gateways" -}}
{{- with .Values.gateway -}}
{{- ternary .autoscaling.maxReplicas .replicas .autoscaling.enabled -}}
{{- end -}}
{{- end -}}

{{/* The environment of a process: of the Secret's variables those that its settings take. */}}
{{- define "watchgate.env" -}}
{{- $root := .root -}}
{{- $settings := include "watchgate.settings" . -}}
- {name: WATCHGATE_CONFIG, value: /etc/watchgate/watchgate.yaml}
{{- range $name, $from := $root.Values.secrets.env }}
{{- if contains (printf "${%s}" $name) $settings }}
- name: {{ $name }}
  valueFrom:
    secretKeyRef:
      name: {{ $from.secret | default $root.Values.secrets.existingSecret }}
      key: {{ $from.key }}
{{- end }}
{{- end }}
{{- range $name, $value := $root.Values.env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}
