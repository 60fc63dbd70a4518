{{/*
A StatefulSet of a process with a journal, and its shipper: {root, component, replicas, port, probePorts, lead, work, ship}.

What is in a journal is nowhere else until Kafka has it. So each pod keeps its name and its volume, and ends in order: the
process goes on for `lead`, stops within `work`, and the shipper stays for `ship` more. What is left then, since Kafka was
away, stays on the volume, which nothing here deletes.
*/}}
{{- define "watchgate.journalled" -}}
{{- $process := get .root.Values .component -}}
{{- $wait := add .lead .work .ship -}}
{{- $parts := merge (dict "process" .component "resources" $process.resources "wait" $wait) . -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "watchgate.metadata" . | nindent 2 }}
spec:
  serviceName: {{ include "watchgate.fullname" .root }}-{{ .component }}-pods
  podManagementPolicy: Parallel
  {{- if ge (int .replicas) 0 }}
  replicas: {{ .replicas }}
  {{- end }}
  selector:
    matchLabels:
      {{- include "watchgate.selector" . | nindent 6 }}
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
  template:
    metadata:
      {{- include "watchgate.podMetadata" . | nindent 6 }}
    spec:
      {{- include "watchgate.pod" (merge (dict "grace" (add $wait 15)) .) | nindent 6 }}
      containers:
        - {{- include "watchgate.container" $parts | nindent 10 }}
          ports:
            {{- with .port }}
            - {name: api, containerPort: {{ . }}}
            {{- end }}
            - {name: ops, containerPort: {{ .ops }}}
            {{- range .probePorts }}
            - {name: probes-{{ . }}, containerPort: {{ . }}}
            {{- end }}
          {{- if .lead }}
          lifecycle:
            preStop:
              exec: {command: [sleep, {{ .lead | quote }}]}
          {{- end }}
          {{- include "watchgate.probes" (dict "port" "ops" "ready" true) | nindent 10 }}
        - {{- include "watchgate.shipper" $parts | nindent 10 }}
      volumes:
        {{- include "watchgate.volumes" . | nindent 8 }}
  volumeClaimTemplates:
    - {{- include "watchgate.claim" (merge (dict "journal" $process.journal) .) | nindent 6 }}
{{- end -}}

{{/*
The headless Service that names the pods of a StatefulSet, not ready ones too: a gateway may be ready only once the probes
inside vLLM tell it what they see, and they find it here.
*/}}
{{- define "watchgate.pods" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "watchgate.metadata" (merge (dict "suffix" (printf "%s-pods" .component)) .) | nindent 2 }}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector:
    {{- include "watchgate.selector" . | nindent 4 }}
  ports:
    - {name: ops, port: {{ .ops }}, targetPort: ops}
    {{- range .probePorts }}
    - {name: probes-{{ . }}, port: {{ . }}, targetPort: probes-{{ . }}}
    {{- end }}
{{- end -}}

{{/* {root, component, maxUnavailable} */}}
{{- define "watchgate.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "watchgate.metadata" . | nindent 2 }}
spec:
  maxUnavailable: {{ .maxUnavailable }}
  # a pod that is broken anyway keeps no node from being drained
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "watchgate.selector" . | nindent 6 }}
{{- end -}}

{{/* {root, component, hpa} */}}
{{- define "watchgate.hpa" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "watchgate.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: StatefulSet
    name: {{ include "watchgate.fullname" .root }}-{{ .component }}
  minReplicas: {{ .hpa.minReplicas }}
  maxReplicas: {{ .hpa.maxReplicas }}
  metrics:
    - type: ContainerResource
      containerResource:
        name: cpu
        container: {{ .component }}
        target: {type: Utilization, averageUtilization: {{ .hpa.cpuPercent }}}
  behavior:
    scaleDown:
      stabilizationWindowSeconds: {{ .hpa.scaleDownSeconds }}
      # one after the other: each is drained first
      policies: [{type: Pods, value: 1, periodSeconds: 60}]
{{- end -}}
