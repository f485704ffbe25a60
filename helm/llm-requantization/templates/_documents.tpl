{{/* The documents of shipfit in a pipeline's values, (dict "name" ... "pipeline" ...), as JSON: the Pipeline, and the
Deployment that serves what it makes, where there is one. Each has `given` (spec, files, configMap), `kind`, `where` that
stands in the values, the `file` that it becomes, and the `name` of its ConfigMap, less the release's. */}}
{{- define "llm-requantization.documents" -}}
{{- $where := printf "pipelines.%s" .name }}
{{- $documents := list (dict "kind" "Pipeline" "file" "pipeline.yaml" "where" $where "name" .name "given" .pipeline) }}
{{- $rollout := .pipeline.rollout }}
{{- if or $rollout.spec $rollout.configMap $rollout.files $rollout.namespace }}
{{- $documents = append $documents (dict "kind" "Deployment" "file" "deployment.yaml" "where" (printf "%s.rollout" $where) "name" (printf "%s-rollout" .name) "given" $rollout) }}
{{- end }}
{{- toJson $documents }}
{{- end }}

{{/* The text of a document in the values: (dict "root" $ "where" ... "kind" ... "given" ...). */}}
{{- define "llm-requantization.spec" -}}
{{- $text := kindIs "string" .given.spec | ternary .given.spec (toYaml .given.spec) }}
{{- $spec := kindIs "string" .given.spec | ternary (fromYaml $text) .given.spec }}
{{- with $spec.Error }}
{{- fail (printf "%s.spec: is no YAML: %s" $.where .) }}
{{- end }}
{{- if ne ($spec.kind | default "") .kind }}
{{- $folder := get (dict "Pipeline" "pipelines/" "Deployment" "deploy/") .kind }}
{{- fail (printf "%s.spec: is no %s: its kind is %q; give a file of %s" .where .kind ($spec.kind | default "") $folder) }}
{{- end }}
{{- $text | trimSuffix "\n" }}
{{- if not $spec.store }}
{{- if not .root.Values.store.url }}
{{- fail (printf "%s.spec.store: is missing; name an object store there or in store.url" .where) }}
{{- end }}
store: {{ .root.Values.store.url }}
{{- end }}
{{- end }}

{{/* The namespace that a Deployment is served in: as "spec". */}}
{{- define "llm-requantization.namespace" -}}
{{- if .given.configMap }}
{{- .given.namespace }}
{{- else }}
{{- (include "llm-requantization.spec" . | fromYaml).cluster.namespace }}
{{- end }}
{{- end }}
