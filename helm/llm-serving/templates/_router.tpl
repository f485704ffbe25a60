{{/* What the router is to do; shipfit.serve.pod.router makes Envoy's configuration of it. */}}
{{- define "llm-serving.router.settings" -}}
{{- $models := list }}
{{- range $name, $entry := .Values.models }}
{{- $served := $entry.servedName | default $.Values.modelDefaults.servedName | default $name }}
{{- $it := dict "name" $served "service" (include "llm-serving.service" (dict "root" $ "name" $name)) "port" 8000 }}
{{- with $entry.canary }}
{{- $service := include "llm-serving.service" (dict "root" $ "name" (include "llm-serving.canary.name" $name)) }}
{{- $_ := set $it "canary" (dict "service" $service "percent" .percent) }}
{{- end }}
{{- $model := mergeOverwrite (deepCopy $.Values.modelDefaults) $entry }}
{{- /* A replica that is ready may be unknown for as long as names are kept (CoreDNS: 5 s), and a health check takes. */}}
{{- $_ := set $it "wait" 10 }}
{{- if include "llm-serving.model.wakes" $model }}
{{- $_ := set $it "wakes" true }}
{{- $_ := set $it "wait" (include "llm-serving.model.progressSeconds" (dict "root" $ "model" $model) | int64) }}
{{- end }}
{{- $models = append $models $it }}
{{- end }}
{{- $settings := dict "port" 8080 "admin" 9901 "metrics" 9902 "models" $models }}
{{- if .Values.router.apiKey.secret }}
{{- $_ := set $settings "keys" (printf "/etc/router-key/%s" .Values.router.apiKey.key) }}
{{- end }}
{{- toPrettyJson $settings }}
{{- end }}

{{/* Host name of a model's replicas, or of a canary's: (dict "root" $ "name" <of their objects>). */}}
{{- define "llm-serving.service" -}}
{{ .root.Release.Name }}-{{ .name }}.{{ .root.Release.Namespace }}.svc
{{- end }}
