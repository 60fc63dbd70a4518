{{/* Names and labels. What goes into selectors and volumeClaimTemplates can never change: no version is among it. */}}

{{- define "watchgate.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-watchgate" .Release.Name) (contains "watchgate" .Release.Name) -}}
{{- end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "watchgate.selector" -}}
app.kubernetes.io/name: watchgate
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "watchgate.labels" -}}
{{ include "watchgate.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/* The head of an object of a component: {root, component, suffix, annotations}. */}}
{{- define "watchgate.metadata" -}}
name: {{ include "watchgate.fullname" .root }}-{{ .suffix | default .component }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "watchgate.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "watchgate.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The files that others write, with the beginnings of addresses that the values name. */}}
{{- define "watchgate.linked" -}}
{{- .text | replace "https://grafana.example/" .links.grafana | replace "https://watchgate.example/docs/" .links.docs -}}
{{- end -}}

{{/* The ports where gateways listen for probes inside vLLM, as JSON. */}}
{{- define "watchgate.probePorts" -}}
{{- $ports := list -}}
{{- range .Values.settings.upstreams -}}
{{- with .probes -}}{{- with .listen -}}{{- $ports = append $ports (int .port) -}}{{- end -}}{{- end -}}
{{- end -}}
{{- toJson $ports -}}
{{- end -}}
