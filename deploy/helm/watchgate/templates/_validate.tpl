{{/* What a schema cannot say, or not in words that help. */}}
{{- define "watchgate.validate" -}}
{{- $v := .Values -}}
{{- if and (gt (include "watchgate.gateways" . | int) 1) (ne $v.settings.limits.kind "redis") -}}
{{- fail "settings.limits.kind: several gateways would each count limits for themselves; set it to redis, with url: \"${WATCHGATE_REDIS_URL}\"" -}}
{{- end -}}
{{- $screeners := $v.screener.replicas -}}
{{- if $v.screener.hpa.enabled }}{{ $screeners = $v.screener.hpa.maxReplicas }}{{ end -}}
{{- if $v.screener.keda.enabled }}{{ $screeners = $v.screener.keda.maxReplicas }}{{ end -}}
{{- if gt (int $screeners) (int $v.settings.event_log.partitions) -}}
{{- fail (printf "screener: %d screeners would share %d partitions (settings.event_log.partitions), and those beyond would be idle" (int $screeners) (int $v.settings.event_log.partitions)) -}}
{{- end -}}
{{- range $name, $one := dict "gateway.autoscaling" $v.gateway.autoscaling "screener.hpa" $v.screener.hpa "screener.keda" $v.screener.keda -}}
{{- if gt (int $one.minReplicas) (int $one.maxReplicas) -}}
{{- fail (printf "%s: minReplicas %d is over maxReplicas %d" $name (int $one.minReplicas) (int $one.maxReplicas)) -}}
{{- end -}}
{{- end -}}
{{- if and $v.monitoring.podMonitor.enabled $v.monitoring.podMonitor.vllm $v.networkPolicy.enabled $v.networkPolicy.vllm.enabled (not $v.networkPolicy.vllm.allowMonitoring) -}}
{{- fail "monitoring.podMonitor.vllm: the policy lets only gateways reach vLLM; set networkPolicy.vllm.allowMonitoring too, and read what it says" -}}
{{- end -}}
{{- end -}}
