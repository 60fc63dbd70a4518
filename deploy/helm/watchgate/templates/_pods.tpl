{{/* What all pods share: {root, component, grace}. The containers are the caller's. */}}
{{- define "watchgate.pod" -}}
{{- $root := .root -}}
{{- with $root.Values.pod -}}
{{- if ne $.component "migrate" }}
serviceAccountName: {{ include "watchgate.fullname" $root }}
{{- end }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $.grace }}
securityContext:
  {{- include "watchgate.podSecurity" $root | nindent 2 }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
topologySpreadConstraints:
  - topologyKey: topology.kubernetes.io/zone
    maxSkew: 1
    whenUnsatisfiable: {{ .zoneSpread }}
    labelSelector:
      matchLabels:
        {{- include "watchgate.selector" $ | nindent 8 }}
affinity:
  podAntiAffinity:
    {{- if eq .hostAntiAffinity "required" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "watchgate.selector" $ | nindent 12 }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "watchgate.selector" $ | nindent 14 }}
    {{- end }}
{{- end }}
{{- end -}}

{{- define "watchgate.podSecurity" -}}
runAsNonRoot: true
{{- with .Values.pod.runAsUser }}
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
{{- end }}
# or else the kubelet would let the group into files that are their owner's alone
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{/* The labels and annotations of a pod. New settings make new pods. */}}
{{- define "watchgate.podMetadata" -}}
labels:
  {{- include "watchgate.selector" . | nindent 2 }}
  {{- with .root.Values.pod.labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/settings: {{ include "watchgate.settings" . | sha256sum }}
  {{- with .root.Values.pod.annotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* What all containers share: {root, component, process, resources}. */}}
{{- define "watchgate.container" -}}
name: {{ .process }}
image: {{ include "watchgate.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: {{ .args | default (list .process) | toJson }}
env:
  {{- include "watchgate.env" . | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
resources:
  {{- toYaml .resources | nindent 2 }}
volumeMounts:
  - {name: settings, mountPath: /etc/watchgate, readOnly: true}
  - {name: data, mountPath: /var/lib/watchgate}
  - {name: tmp, mountPath: /tmp}
  {{- include "watchgate.mounts" . | nindent 2 }}
{{- end -}}

{{- define "watchgate.mounts" -}}
{{- range .root.Values.mounts }}
{{- if or (not .components) (has $.component .components) }}
- {name: {{ .name }}, mountPath: {{ .path }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "watchgate.volumes" -}}
- name: settings
  configMap:
    name: {{ include "watchgate.fullname" .root }}-{{ .component }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- range .root.Values.mounts }}
{{- if or (not .components) (has $.component .components) }}
- name: {{ .name }}
  {{- if .secret }}
  secret: {secretName: {{ .secret }}, defaultMode: 0440}
  {{- else }}
  configMap: {name: {{ .configMap }}}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Probes on the ops port. Alive asks nothing of others, so no outage of theirs restarts anything. */}}
{{- define "watchgate.probes" -}}
startupProbe:
  httpGet: {path: /health, port: {{ .port }}}
  periodSeconds: 5
  # a long journal is read again after a crash
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /health, port: {{ .port }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- if .ready }}
readinessProbe:
  httpGet: {path: /ready, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- end }}
{{- end -}}

{{/*
The shipper of a pod: {root, component, ship}. It stays until the journal's writer is gone and Kafka has everything. It
has no readiness of its own: that Kafka is away must not take a gateway out of service.
*/}}
{{- define "watchgate.shipper" -}}
{{- $parts := merge (dict "process" "shipper" "resources" .root.Values.shipper.resources) . -}}
{{- include "watchgate.container" $parts }}
ports:
  - {name: ops-shipper, containerPort: 9468}
lifecycle:
  preStop:
    exec: {command: [watchgate, drained, --wait, {{ printf "%ds" (int .wait) }}]}
{{ include "watchgate.probes" (dict "port" "ops-shipper") }}
{{- end -}}

{{/* The volume of a journal: {root, component, journal}. */}}
{{- define "watchgate.claim" -}}
metadata:
  name: data
  labels:
    {{- include "watchgate.selector" . | nindent 4 }}
spec:
  accessModes: [ReadWriteOnce]
  {{- with .journal.storageClass }}
  storageClassName: {{ . }}
  {{- end }}
  resources: {requests: {storage: {{ .journal.size }}}}
{{- end -}}
