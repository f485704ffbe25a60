{{/* Labels of an object: (dict "root" $ "component" "replica" "model" <name or nothing>). */}}
{{- define "llm-serving.labels" -}}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{ include "llm-serving.selector" . }}
{{- end }}

{{/* What pods are told apart by; it never changes, so neither version nor chart is among it. */}}
{{- define "llm-serving.selector" -}}
app.kubernetes.io/name: llm-serving
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .model }}
shipfit/model: {{ . }}
{{- end }}
{{- end }}

{{/* `repository:tag@digest` of an image. */}}
{{- define "llm-serving.image" -}}
{{ .repository }}{{ with .tag }}:{{ . }}{{ end }}{{ with .digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "llm-serving.shipfit.image" -}}
{{ include "llm-serving.image" (dict "repository" .Values.shipfit.image.repository "tag" (.Values.shipfit.image.tag | default .Chart.AppVersion) "digest" .Values.shipfit.image.digest) }}
{{- end }}

{{/* vLLM's image for a model; the digest of one image never goes with the name or tag of another. */}}
{{- define "llm-serving.engine.image" -}}
{{- $own := .model.engine.image }}
{{- $image := mergeOverwrite (deepCopy .root.Values.engine.image) $own }}
{{- if and (or $own.repository $own.tag) (not $own.digest) }}
{{- $_ := set $image "digest" "" }}
{{- end }}
{{- include "llm-serving.image" $image }}
{{- end }}

{{- define "llm-serving.serviceAccount" -}}
{{ .Values.serviceAccount.name | default (ternary .Release.Name "default" .Values.serviceAccount.create) }}
{{- end }}

{{/* Host name of the router inside the cluster. */}}
{{- define "llm-serving.router.host" -}}
{{ .Release.Name }}-router.{{ .Release.Namespace }}.svc
{{- end }}
