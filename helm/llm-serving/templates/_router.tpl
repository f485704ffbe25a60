{{/* What the router is to do; shipfit.serve.pod.router makes Envoy's configuration of it. */}}
{{- define "llm-serving.router.settings" -}}
{{- $models := list }}
{{- range $name, $entry := .Values.models }}
{{- $served := $entry.servedName | default $.Values.modelDefaults.servedName | default $name }}
{{- $service := printf "%s-%s.%s.svc" $.Release.Name $name $.Release.Namespace }}
{{- $models = append $models (dict "name" $served "service" $service "port" 8000) }}
{{- end }}
{{- $settings := dict "port" 8080 "admin" 9901 "metrics" 9902 "models" $models }}
{{- if .Values.router.apiKey.secret }}
{{- $_ := set $settings "keys" (printf "/etc/router-key/%s" .Values.router.apiKey.key) }}
{{- end }}
{{- toPrettyJson $settings }}
{{- end }}
