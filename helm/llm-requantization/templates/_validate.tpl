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
{{- if eq (empty $pipeline.spec) (empty $pipeline.configMap) }}
{{- fail (printf "%s: name exactly one of spec and configMap" $where) }}
{{- end }}
{{- if and $pipeline.configMap $pipeline.files }}
{{- fail (printf "%s.files: belong beside a spec; put them into the ConfigMap %s" $where $pipeline.configMap) }}
{{- end }}
{{- if $pipeline.spec }}
{{- $_ := include "llm-requantization.spec" (dict "root" $ "name" $name "pipeline" $pipeline) }}
{{- end }}
{{- if hasKey $pipeline.files "pipeline.yaml" }}
{{- fail (printf "%s.files: pipeline.yaml is what spec becomes; give that file another name" $where) }}
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

{{/* The text of a pipeline in the values: (dict "root" $ "name" ... "pipeline" ...). */}}
{{- define "llm-requantization.spec" -}}
{{- $text := kindIs "string" .pipeline.spec | ternary .pipeline.spec (toYaml .pipeline.spec) }}
{{- $spec := kindIs "string" .pipeline.spec | ternary (fromYaml $text) .pipeline.spec }}
{{- with $spec.Error }}
{{- fail (printf "pipelines.%s.spec: is no YAML: %s" $.name .) }}
{{- end }}
{{- if ne ($spec.kind | default "") "Pipeline" }}
{{- fail (printf "pipelines.%s.spec: is no Pipeline: its kind is %q; give a file of pipelines/" .name ($spec.kind | default "")) }}
{{- end }}
{{- $text | trimSuffix "\n" }}
{{- if not $spec.store }}
{{- if not .root.Values.store.url }}
{{- fail (printf "pipelines.%s.spec.store: is missing; name an object store there or in store.url" .name) }}
{{- end }}
store: {{ .root.Values.store.url }}
{{- end }}
{{- end }}
