{{/* What no schema can say: two values that contradict each other. Each message names where, what, and what to do. */}}
{{- define "llm-serving.validate" -}}
{{- if not .Values.models }}
{{- fail "models: there is none; name at least one, with its weights" }}
{{- end }}
{{- if .Values.modelDefaults.canary }}
{{- fail "modelDefaults.canary: a canary is of one model; name it in that one's entry" }}
{{- end }}
{{- $names := dict }}
{{- range $name, $entry := .Values.models }}
{{- $model := mergeOverwrite (deepCopy $.Values.modelDefaults) $entry }}
{{- $where := printf "models.%s" $name }}
{{- include "llm-serving.validate.model" (dict "root" $ "name" $name "model" $model "where" $where) }}
{{- $served := $model.servedName | default $name }}
{{- if hasKey $names $served }}
{{- fail (printf "%s.servedName: %s is the name of models.%s too; clients must be able to tell them apart" $where $served (get $names $served)) }}
{{- end }}
{{- $_ := set $names $served $name }}
{{- with $model.canary }}
{{- $canary := include "llm-serving.canary.name" $name }}
{{- if not .percent }}
{{- fail (printf "%s.canary.percent: is missing; say how many of 100 requests it gets" $where) }}
{{- end }}
{{- if hasKey $.Values.models $canary }}
{{- fail (printf "models.%s: objects of models.%s.canary bear that name; choose another" $canary $name) }}
{{- end }}
{{- $kinds := include "llm-serving.kinds" $ | fromYaml }}
{{- include "llm-serving.validate.model" (dict "root" $ "name" $canary "model" (get $kinds $canary) "where" (printf "%s.canary" $where)) }}
{{- end }}
{{- end }}
{{- include "llm-serving.validate.drain" . }}
{{- include "llm-serving.validate.address" . }}
{{- end }}

{{- define "llm-serving.validate.model" -}}
{{- $where := .where }}
{{- if gt (len (printf "%s-%s" .root.Release.Name .name)) 63 }}
{{- fail (printf "%s: the name %s-%s is longer than the 63 characters of a Service; shorten the release's or the model's" $where .root.Release.Name .name) }}
{{- end }}
{{- if has .name (list "router" "dashboard") }}
{{- fail (printf "%s: objects of the chart's own bear that name; choose another" $where) }}
{{- end }}
{{- range list "model" "served-model-name" "host" "port" "uds" "shutdown-timeout" "chat-template" "disable-uvicorn-access-log" "enable-server-load-tracking" "nnodes" "node-rank" "master-addr" "master-port" "headless" }}
{{- if hasKey $.model.engine.args . }}
{{- fail (printf "%s.engine.args.%s: the chart gives this flag itself; leave it out" $where .) }}
{{- end }}
{{- end }}
{{- if hasKey .model.engine.args "api-key" }}
{{- fail (printf "%s.engine.args.api-key: everybody could read it in the pod; the router checks keys, see router.apiKey.secret" $where) }}
{{- end }}
{{- $weights := .model.weights }}
{{- if eq (empty $weights.artifact) (empty $weights.model) }}
{{- fail (printf "%s.weights: name exactly one of artifact and model" $where) }}
{{- end }}
{{- include "llm-serving.validate.split" . }}
{{- with .model.autoscaling }}
{{- range list "min" "max" "prometheus" }}
{{- if not (hasKey $.model.autoscaling .) }}
{{- fail (printf "%s.autoscaling.%s: is missing; autoscaling needs min, max and prometheus" $where .) }}
{{- end }}
{{- end }}
{{- if lt (int64 .max) (int64 .min) }}
{{- fail (printf "%s.autoscaling.max: %d is less than min, %d" $where (int64 .max) (int64 .min)) }}
{{- end }}
{{- if and .waitingRequests (not (hasKey $.model.engine.args "max-num-seqs")) }}
{{- fail (printf "%s.autoscaling.waitingRequests: needs engine.args.max-num-seqs, to tell how busy a replica is" $where) }}
{{- end }}
{{- if include "llm-serving.model.wakes" $.model }}
{{- if not (hasKey $.model.engine.args "max-num-seqs") }}
{{- fail (printf "%s.autoscaling.min: 0 needs engine.args.max-num-seqs, to tell how many replicas the requests of the router fill" $where) }}
{{- end }}
{{- else if not (or .waitingRequests .kvCachePercent) }}
{{- fail (printf "%s.autoscaling: name waitingRequests, kvCachePercent or both; nothing says when to scale" $where) }}
{{- end }}
{{- end }}
{{- end }}

{{/* How a replica is divided between GPUs and nodes. */}}
{{- define "llm-serving.validate.split" -}}
{{- $where := .where }}
{{- $nodes := int64 .model.nodes }}
{{- $args := .model.engine.args }}
{{- $data := get $args "data-parallel-size" | default 1 | int64 }}
{{- $processes := mul (get $args "tensor-parallel-size" | default 1) (get $args "pipeline-parallel-size" | default 1) $data }}
{{- with .model.accelerator }}
{{- if not (and .resource .count) }}
{{- fail (printf "%s.accelerator: name both resource and count; leave it out to run on processor cores" $where) }}
{{- end }}
{{- if ne $processes (mul $nodes (int64 .count)) }}
{{- $each := ternary (printf " on each of %d nodes" $nodes) "" (gt $nodes 1) }}
{{- fail (printf "%s.accelerator.count: %d%s, but engine.args (tensor-, pipeline- and data-parallel-size) use %d; make them agree" $where (int64 .count) $each $processes) }}
{{- end }}
{{- end }}
{{- if gt $nodes 1 }}
{{- if mod $processes $nodes }}
{{- fail (printf "%s.nodes: engine.args (tensor- and pipeline-parallel-size) make %d processes, which %d nodes do not divide" $where $processes $nodes) }}
{{- end }}
{{- if gt $data 1 }}
{{- fail (printf "%s.nodes: data-parallel-size is for one node; take more replicas" $where) }}
{{- end }}
{{- if gt (len (printf "%s-%s" .root.Release.Name .name)) 49 }}
{{- fail (printf "%s: the name %s-%s is longer than the 49 characters from which names of a group's pods are made; shorten the release's or the model's" $where .root.Release.Name .name) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "llm-serving.validate.drain" -}}
{{- $needed := include "llm-serving.replica.drainSeconds" . | int64 }}
{{- with .Values.drain.terminationGracePeriodSeconds }}
{{- if lt (int64 .) $needed }}
{{- fail (printf "drain.terminationGracePeriodSeconds: %d s would cut requests off: routerSeconds, requestsSeconds and 15 s to end are %d; leave it out or raise it" (int64 .) $needed) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "llm-serving.validate.address" -}}
{{- $public := or .Values.ingress.enabled .Values.httpRoute.enabled (ne .Values.router.service.type "ClusterIP") }}
{{- if and $public (not .Values.router.apiKey.secret) }}
{{- fail "router.apiKey.secret: an ingress, a route or a Service of that type opens the address to others; name the Secret with the API keys" }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) }}
{{- fail "ingress.host: is missing; name the host that clients call" }}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
{{- fail "httpRoute.parentRefs: is empty; name the Gateway" }}
{{- end }}
{{- end }}
