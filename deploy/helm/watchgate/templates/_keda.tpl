{{/* {root, component, keda}: scaled by what waits in Kafka for the group of screeners. */}}
{{- define "watchgate.keda" -}}
{{- $log := .root.Values.settings.event_log -}}
{{- $security := $log.security -}}
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata:
  {{- include "watchgate.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: StatefulSet
    name: {{ include "watchgate.fullname" .root }}-{{ .component }}
  minReplicaCount: {{ .keda.minReplicas }}
  maxReplicaCount: {{ .keda.maxReplicas }}
  advanced:
    horizontalPodAutoscalerConfig:
      behavior:
        scaleDown:
          stabilizationWindowSeconds: {{ .keda.cooldownSeconds }}
          # one after the other: each is drained first
          policies: [{type: Pods, value: 1, periodSeconds: 60}]
  triggers:
    - type: kafka
      metadata:
        bootstrapServers: {{ join "," $log.bootstrap_servers | quote }}
        consumerGroup: watchgate-screener
        topic: {{ $log.topics.exchanges | quote }}
        lagThreshold: {{ .keda.lagThreshold | int | quote }}
        {{- if hasSuffix "SSL" $security.protocol }}
        tls: enable
        {{- end }}
        {{- with $security.sasl_mechanism }}
        sasl: {{ get (dict "PLAIN" "plaintext" "SCRAM-SHA-256" "scram_sha256" "SCRAM-SHA-512" "scram_sha512") . }}
        {{- end }}
      {{- with .keda.triggerAuthentication }}
      authenticationRef: {name: {{ . }}}
      {{- end }}
{{- end -}}
