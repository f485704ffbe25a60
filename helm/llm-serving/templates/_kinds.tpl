{{/* Every kind of replica, by the name of its objects, as YAML: the models, merged with modelDefaults, and the canary of
each, whose keys take the place of the model's as a whole. */}}
{{- define "llm-serving.kinds" -}}
{{- $kinds := dict }}
{{- range $name, $entry := .Values.models }}
{{- $model := mergeOverwrite (deepCopy $.Values.modelDefaults) $entry }}
{{- $_ := set $kinds $name $model }}
{{- with $model.canary }}
{{- $canary := deepCopy (omit $model "autoscaling" "canary") }}
{{- range $key, $value := mergeOverwrite (dict "replicas" 1) (omit . "percent") }}
{{- $_ := set $canary $key $value }}
{{- end }}
{{- $_ := set $canary "servedName" ($model.servedName | default $name) }}
{{- $_ := set $kinds (include "llm-serving.canary.name" $name) (mergeOverwrite (deepCopy $.Values.modelDefaults) $canary) }}
{{- end }}
{{- end }}
{{- toYaml $kinds }}
{{- end }}

{{- define "llm-serving.canary.name" -}}
{{ . }}-canary
{{- end }}

{{/* Whether a model may have no replica, so that a request has to wake it. */}}
{{- define "llm-serving.model.wakes" -}}
{{- if .autoscaling }}{{ if eq (int64 .autoscaling.min) 0 }}true{{ end }}{{ end }}
{{- end }}
