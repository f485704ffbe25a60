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

{{/* A container of the pod that decides: (dict "root" $ "name" ... "args" ... "env" <the chart's own> "labels" <variable:
what Kubernetes says of the Job> "mounts" <volumes, below /etc>). */}}
{{- define "llm-requantization.container" -}}
name: {{ .name }}
image: {{ include "llm-requantization.image" (dict "root" .root "image" .root.Values.shipfit.image) }}
imagePullPolicy: {{ .root.Values.shipfit.image.pullPolicy }}
command: [shipfit]
args: {{ toJson .args }}
env:
  {{- range $variable, $label := .labels }}
  - name: {{ $variable }}
    valueFrom: {fieldRef: {fieldPath: "metadata.labels['batch.kubernetes.io/{{ $label }}']"}}
  {{- end }}
  {{- include "llm-requantization.env" . | trim | nindent 2 }}
{{- with .root.Values.store.secret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
resources:
  {{- toYaml .root.Values.shipfit.resources | nindent 2 }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  {{- range .mounts }}
  - {name: {{ . }}, mountPath: /etc/{{ . }}, readOnly: true}
  {{- end }}
  {{- with .root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
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
