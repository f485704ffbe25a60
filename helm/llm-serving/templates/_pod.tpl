{{/* What every pod has: (dict "root" $ "component" ... "model" ...). */}}
{{- define "llm-serving.pod.metadata" -}}
labels:
  {{- include "llm-serving.selector" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with mustMerge (dict) (.annotations | default dict) .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "llm-serving.pod.common" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end }}

{{/* Where a pod goes: (dict "placement" ... "accelerator" ... "selector" <labels> "spread" <topology keys> "hash" <label
that tells the pods of an update; of a Deployment's where it is left out>), which are spread among themselves. */}}
{{- define "llm-serving.pod.placement" -}}
{{- $accelerator := .accelerator | default dict }}
{{- with mustMerge (dict) (.placement.nodeSelector | default dict) ($accelerator.nodeSelector | default dict) }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat ($accelerator.tolerations | default list) (.placement.tolerations | default list) }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .placement.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- $constraints := .placement.topologySpreadConstraints | default list }}
{{- if not $constraints }}
{{- range .spread }}
{{- $constraints = append $constraints (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway") }}
{{- end }}
{{- end }}
topologySpreadConstraints:
{{- range $constraints }}
{{- $matching := dict "labelSelector" (dict "matchLabels" (fromYaml $.selector)) "matchLabelKeys" (list ($.hash | default "pod-template-hash")) }}
  {{- list (mustMerge (dict) . $matching) | toYaml | nindent 2 }}
{{- end }}
{{- with .placement.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .placement.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Environment variables of a map, sorted by name. */}}
{{- define "llm-serving.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ include "llm-serving.word" $value | quote }}
{{- end }}
{{- end }}

{{/* A value as the word that a program reads: whole numbers never as 4.2e+09. */}}
{{- define "llm-serving.word" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}
