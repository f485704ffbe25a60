{{/* Labels of an object: (dict "root" $ "component" "decide" "pipeline" <name or nothing>). */}}
{{- define "llm-requantization.labels" -}}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
app.kubernetes.io/name: llm-requantization
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{ include "llm-requantization.selector" . }}
{{- end }}

{{/* What pods are told apart by. Not the name of the application: KubeRay's Services find their own pods by that. */}}
{{- define "llm-requantization.selector" -}}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- with .pipeline }}
shipfit/pipeline: {{ . }}
{{- end }}
{{- end }}

{{/* `repository:tag@digest`: (dict "root" $ "image" ...). */}}
{{- define "llm-requantization.image" -}}
{{ .image.repository }}:{{ .image.tag | default .root.Chart.AppVersion }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* Name of a service account: (dict "root" $ "purpose" "decide"). */}}
{{- define "llm-requantization.serviceAccount" -}}
{{ (get .root.Values.serviceAccounts .purpose).name | default (printf "%s-%s" .root.Release.Name .purpose) }}
{{- end }}

{{/* Name of the ConfigMap with a document and its files: (dict "root" $ "name" ... "given" ...), as of "documents". */}}
{{- define "llm-requantization.files" -}}
{{ .given.configMap | default (printf "%s-%s" .root.Release.Name .name) }}
{{- end }}

{{/* What the rights to roll out are called: those in other namespaces, and in none, must not meet another release's. */}}
{{- define "llm-requantization.rollout" -}}
{{ .Release.Namespace }}-{{ .Release.Name }}-rollout
{{- end }}
