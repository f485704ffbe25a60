{{/* Arithmetic of one model, in whole seconds or bytes: (dict "root" $ "model" <merged with modelDefaults>). */}}

{{/* From the start of vLLM until it answers. 100 MB/s is a slow network disk; 600 s are imports, compilation and graphs. */}}
{{- define "llm-serving.model.startupSeconds" -}}
{{- if .model.engine.startupSeconds }}{{ int64 .model.engine.startupSeconds }}
{{- else if .model.weights.bytes }}{{ add 600 (div (int64 .model.weights.bytes) 100000000) }}
{{- else }}3600
{{- end }}
{{- end }}

{{/* A replica's drain; the last 15 s are for giving back its memory (README, "Drain"). */}}
{{- define "llm-serving.replica.drainSeconds" -}}
{{- add .Values.drain.routerSeconds .Values.drain.requestsSeconds 15 }}
{{- end }}

{{- define "llm-serving.replica.graceSeconds" -}}
{{- .Values.drain.terminationGracePeriodSeconds | default (include "llm-serving.replica.drainSeconds" .) | int64 }}
{{- end }}

{{- define "llm-serving.router.graceSeconds" -}}
{{- add .Values.drain.addressSeconds .Values.drain.requestsSeconds 15 }}
{{- end }}

{{/* How long an update may stand still: fetching at 50 MB/s, an image of 10 GB, the start, and the replica before it
that still holds the GPU while it drains. */}}
{{- define "llm-serving.model.progressSeconds" -}}
{{- $fetch := div (int64 (.model.weights.bytes | default 150000000000)) 50000000 }}
{{- add $fetch 600 (include "llm-serving.model.startupSeconds" . | int64) (include "llm-serving.replica.graceSeconds" .root | int64) }}
{{- end }}

{{/* Size of a pod's own cache, in GiB: the weights and a quarter, and 10 GiB for compiled kernels. */}}
{{- define "llm-serving.model.cacheSize" -}}
{{- if .root.Values.cache.sizeLimit }}{{ .root.Values.cache.sizeLimit }}
{{- else if .model.weights.bytes }}{{ add 10 (div (mul 5 (int64 .model.weights.bytes)) 4294967296) }}Gi
{{- end }}
{{- end }}

{{/* vLLM's container: what the model says, the GPUs, and the cache on the node's disk. */}}
{{- define "llm-serving.model.resources" -}}
{{- $resources := deepCopy .model.engine.resources }}
{{- $requests := $resources.requests | default dict }}
{{- $limits := $resources.limits | default dict }}
{{- $size := include "llm-serving.model.cacheSize" . }}
{{- if and $size (not .root.Values.cache.claim) (not (hasKey $requests "ephemeral-storage")) }}
{{- $_ := set $requests "ephemeral-storage" $size }}
{{- end }}
{{- with .model.accelerator }}
{{- $_ := set $requests .resource .count }}
{{- $_ := set $limits .resource .count }}
{{- end }}
{{- with $requests }}
requests:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $limits }}
limits:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The command line of vLLM, a word a line. Where a replica spans nodes, the first pod of its group serves, and the
others run their share of the layers without a server ("headless"), which only the command `vllm serve` can. */}}
{{- define "llm-serving.engine.words" -}}
{{- $nodes := int .model.nodes -}}
- -m
{{- if .worker }}
- vllm.entrypoints.cli.main
- serve
- --headless
{{- else }}
- vllm.entrypoints.openai.api_server
{{- end }}
- --model
- /run/model/{{ .name }}
- --served-model-name
- {{ .model.servedName | default .name | quote }}
- --host
- 0.0.0.0 # the pod's network; its NetworkPolicy says who reaches it
- --port
- "8000"
- --shutdown-timeout
- {{ .root.Values.drain.requestsSeconds | quote }}
- --disable-uvicorn-access-log # the router keeps one, without the probes
- --enable-server-load-tracking # for the liveness probe
- --middleware # so that the router may try another replica until the first token is there
- first_token.HoldHeaders
{{- if .model.chatTemplate }}
- --chat-template
- /etc/replica/chat-template.jinja
{{- end }}
{{- if gt $nodes 1 }}
- --nnodes
- {{ $nodes | quote }}
- --node-rank
- $(LWS_WORKER_INDEX)
- --master-addr
- $(LWS_LEADER_ADDRESS)
- --master-port
- {{ include "llm-serving.group.port" . | quote }}
- --distributed-timeout-seconds # how long pods of a group wait for the one that fetches longest
- {{ include "llm-serving.model.startupSeconds" . | int64 | quote }}
{{- end }}
{{- range $flag, $value := .model.engine.args }}
{{- if kindIs "bool" $value }}
- --{{ ternary "" "no-" $value }}{{ $flag }}
{{- else }}
- --{{ $flag }}
- {{ include "llm-serving.word" $value | quote }}
{{- end }}
{{- end }}
{{- range .model.engine.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Where the processes of a group of pods meet: vLLM's own default. */}}
{{- define "llm-serving.group.port" -}}29501{{- end }}

{{/* The variables that `shipfit up` sets too (src/shipfit/serve/arguments.py), and where vLLM may write. */}}
{{- define "llm-serving.engine.env" -}}
{{- $own := dict
  "HF_HUB_OFFLINE" "1"
  "TRANSFORMERS_OFFLINE" "1"
  "VLLM_NO_USAGE_STATS" "1"
  "DO_NOT_TRACK" "1"
  "VLLM_HOST_IP" "127.0.0.1"
  "PYTHONSAFEPATH" "1"
  "PYTHONPATH" "/etc/replica"
  "HOME" "/home/vllm"
  "USER" "vllm"
}}
{{- $env := mergeOverwrite $own .model.engine.env }}
{{- if and (gt (int .model.nodes) 1) (not (hasKey .model.engine.env "VLLM_HOST_IP")) }}
{{- $_ := unset $env "VLLM_HOST_IP" }}
- name: VLLM_HOST_IP # the other pods of the group reach this one there
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- end }}
{{- include "llm-serving.env" $env }}
{{- end }}
