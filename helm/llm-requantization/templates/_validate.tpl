{{/* What no schema can say: two values that contradict each other. Each message names where, what, and what to do. */}}
{{- define "llm-requantization.validate" -}}
{{- if not .Values.pipelines }}
{{- fail "pipelines: there is none; name at least one, with its schedule and spec" }}
{{- end }}
{{- if not (regexMatch "^[a-z]" .Release.Name) }}
{{- fail (printf "the release's name, %s, does not begin with a letter, and the names of Ray jobs must; choose another" .Release.Name) }}
{{- end }}
{{- range $name, $entry := .Values.pipelines }}
{{- $pipeline := mergeOverwrite (deepCopy $.Values.pipelineDefaults) $entry }}
{{- $where := printf "pipelines.%s" $name }}
{{- if gt (len (printf "%s-%s" $.Release.Name $name)) 52 }}
{{- fail (printf "%s: the name %s-%s is longer than the 52 characters of a CronJob; shorten the release's or the pipeline's" $where $.Release.Name $name) }}
{{- end }}
{{- if not $pipeline.schedule }}
{{- fail (printf "%s.schedule: is missing; write the five fields of cron" $where) }}
{{- end }}
{{- range include "llm-requantization.documents" (dict "name" $name "pipeline" $pipeline) | fromJsonArray }}
{{- include "llm-requantization.validate.document" (set . "root" $) }}
{{- end }}
{{- if lt (int64 $pipeline.workers.max) (int64 $pipeline.workers.min) }}
{{- fail (printf "%s.workers.max: %d is less than min, %d" $where (int64 $pipeline.workers.max) (int64 $pipeline.workers.min)) }}
{{- end }}
{{- with $pipeline.workers.accelerator }}
{{- if not (and .resource .count) }}
{{- fail (printf "%s.workers.accelerator: name both resource and count; leave it out to work on processor cores" $where) }}
{{- end }}
{{- end }}
{{- range list "cpu" "memory" }}
{{- if not (hasKey ($pipeline.workers.resources.limits | default dict) .) }}
{{- fail (printf "%s.workers.resources.limits.%s: is missing; Ray must know what a worker that it adds will have" $where .) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* A document and the files beside it: as "spec". */}}
{{- define "llm-requantization.validate.document" -}}
{{- if eq (empty .given.spec) (empty .given.configMap) }}
{{- fail (printf "%s: name exactly one of spec and configMap" .where) }}
{{- end }}
{{- if and .given.configMap .given.files }}
{{- fail (printf "%s.files: belong beside a spec; put them into the ConfigMap %s" .where .given.configMap) }}
{{- end }}
{{- if hasKey .given.files .file }}
{{- fail (printf "%s.files: %s is what spec becomes; give that file another name" .where .file) }}
{{- end }}
{{- $spec := dict }}
{{- if .given.spec }}
{{- $spec = include "llm-requantization.spec" . | fromYaml }}
{{- end }}
{{- if eq .kind "Deployment" }}
{{- include "llm-requantization.validate.deployment" (set . "said" $spec) }}
{{- end }}
{{- end }}

{{/* A Deployment that runs are to roll out: as "spec", and what it `said`. */}}
{{- define "llm-requantization.validate.deployment" -}}
{{- if .given.configMap }}
{{- if not .given.namespace }}
{{- fail (printf "%s.namespace: is missing; write the cluster.namespace of the Deployment in %s" .where .given.configMap) }}
{{- end }}
{{- else }}
{{- if .given.namespace }}
{{- fail (printf "%s.namespace: belongs beside a configMap; the spec says it as cluster.namespace" .where) }}
{{- end }}
{{- $cluster := .said.cluster | default dict }}
{{- if not $cluster.namespace }}
{{- fail (printf "%s.spec.cluster.namespace: is missing; name the namespace that it is served in" .where) }}
{{- end }}
{{- if $cluster.context }}
{{- fail (printf "%s.spec.cluster.context: a pod has no kubeconfig, and rolls out in its own cluster; leave it out" .where) }}
{{- end }}
{{- if not .said.artifact }}
{{- fail (printf "%s.spec.artifact: is missing, so no run could change what is served; name the artifact and its channel" .where) }}
{{- end }}
{{- range $key, $file := dict "cluster.values" $cluster.values "chat_template" .said.chat_template "prices" .said.prices }}
{{- if and $file (not (hasPrefix "/" $file)) (not (hasKey $.given.files $file)) }}
{{- fail (printf "%s.files: have no %s, which %s of the spec names; files lie beside it, without folders" $.where $file $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
