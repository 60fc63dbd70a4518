{{/* A rule of egress or ingress: {side: to or from, peers, ports}. No peers: anybody. */}}
{{- define "watchgate.rule" -}}
- ports:
    {{- range .ports }}
    - {protocol: TCP, port: {{ . }}}
    {{- end }}
  {{- with .peers }}
  {{ $.side }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* The policy of a component: {root, component, ops, port, peers, probePorts, egress: names of networkPolicy.egress}. */}}
{{- define "watchgate.policy" -}}
{{- $policy := .root.Values.networkPolicy -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "watchgate.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "watchgate.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
  {{- if .ops }}
  ingress:
    {{- if .port }}
    {{- include "watchgate.rule" (dict "side" "from" "ports" (list .port) "peers" .peers) | nindent 4 }}
    {{- end }}
    {{- with .probePorts }}
    {{- include "watchgate.rule" (dict "side" "from" "ports" . "peers" (include "watchgate.vllmPeers" $policy.vllm | fromYamlArray)) | nindent 4 }}
    {{- end }}
    {{- if $policy.monitoring }}
    {{- include "watchgate.rule" (dict "side" "from" "ports" .ops "peers" $policy.monitoring) | nindent 4 }}
    {{- end }}
  {{- else }}
  ingress: []
  {{- end }}
  egress:
    - ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
    {{- if eq .component "gateway" }}
    {{- include "watchgate.toVllm" $policy.vllm | nindent 4 }}
    {{- end }}
    {{- range .egress }}
    {{- $one := get $policy.egress . }}
    {{- if $one.ports }}
    {{- include "watchgate.rule" (dict "side" "to" "ports" $one.ports "peers" $one.to) | nindent 4 }}
    {{- end }}
    {{- end }}
{{- end -}}

{{- define "watchgate.toVllm" -}}
- ports: [{protocol: TCP, port: {{ .port }}}]
  to:
    {{- include "watchgate.vllmPeers" . | nindent 4 }}
{{- end -}}

{{/* Where vLLM is, as peers of a NetworkPolicy. */}}
{{- define "watchgate.vllmPeers" -}}
- podSelector:
    matchLabels:
      {{- toYaml .podLabels | nindent 6 }}
  {{- with .namespace }}
  namespaceSelector:
    matchLabels: {kubernetes.io/metadata.name: {{ . }}}
  {{- end }}
{{- range .cidrs }}
- ipBlock: {cidr: {{ . }}}
{{- end }}
{{- end -}}
