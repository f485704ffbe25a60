{{/* What every pod has: (dict "root" $ "component" ... "pipeline" <name>). */}}
{{- define "llm-requantization.pod.metadata" -}}
labels:
  {{- include "llm-requantization.selector" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "llm-requantization.pod.common" -}}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.podSecurityContext | nindent 2 }}
{{- end }}

{{/* Where a pod goes: (dict "placement" ... "accelerator" ...). */}}
{{- define "llm-requantization.pod.placement" -}}
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
{{- with .placement.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .placement.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Environment of every container: (dict "root" $ "env" <the chart's own>). */}}
{{- define "llm-requantization.env" -}}
{{- range $name, $value := mustMerge (dict "HOME" "/tmp") .env .root.Values.store.env }}
- name: {{ $name }}
  value: {{ include "llm-requantization.word" $value | quote }}
{{- end }}
{{- with .root.Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* A value as the word that a program reads: whole numbers never as 4.2e+09. */}}
{{- define "llm-requantization.word" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}{{ int64 . }}{{ else }}{{ . }}{{ end }}
{{- end }}

{{/* Variables of whoever drives a pipeline: which build of the engines makes its artifacts. Neither the pod that decides
nor the head of a Ray cluster has a GPU to tell it by. */}}
{{- define "llm-requantization.driver.env" -}}
SHIPFIT_ACCELERATOR: {{ ternary "cuda" "cpu" (not (empty .workers.accelerator)) }}
{{- end }}
