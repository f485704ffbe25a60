{{/* A replica's pod, for whatever makes it: (dict "root" $ "name" <entry of models> "model" <merged with modelDefaults>
"self" <what llm-serving.selector takes: the pod's labels> "worker" <whether it is one of a group that does not serve>).
*/}}
{{- define "llm-serving.replica.template" -}}
metadata:
  {{- $annotations := dict }}
  {{- with .model.chatTemplate }}
  {{- $_ := set $annotations "checksum/chat-template" (sha256sum .) }}
  {{- end }}
  {{- include "llm-serving.pod.metadata" (mustMerge (dict "annotations" $annotations) .self) | nindent 2 }}
spec:
  {{- include "llm-serving.pod.common" .root | nindent 2 }}
  serviceAccountName: {{ include "llm-serving.serviceAccount" .root }}
  terminationGracePeriodSeconds: {{ include "llm-serving.replica.graceSeconds" .root }}
  {{- include "llm-serving.pod.placement" (dict "placement" .model.placement "accelerator" .model.accelerator "selector" (include "llm-serving.selector" .self) "spread" (list "kubernetes.io/hostname") "hash" (ternary "leaderworkerset.sigs.k8s.io/template-revision-hash" "" (gt (int .model.nodes) 1))) | trim | nindent 2 }}
  initContainers:
    {{- include "llm-serving.replica.fetch" . | nindent 4 }}
  containers:
    {{- include "llm-serving.replica.vllm" . | nindent 4 }}
  volumes:
    {{- include "llm-serving.replica.volumes" . | nindent 4 }}
{{- end }}

{{/* The container that brings the weights, verified, and links them under the model's name. */}}
{{- define "llm-serving.replica.fetch" -}}
- name: fetch
  image: {{ include "llm-serving.shipfit.image" .root }}
  imagePullPolicy: {{ .root.Values.shipfit.image.pullPolicy }}
  command: [python, -m, shipfit.serve.pod.fetch]
  args:
    {{- with .model.weights.artifact }}
    - --artifact
    - {{ .name }}
    - --fingerprint
    - {{ .fingerprint | quote }}
    - --store
    - {{ .store }}
    {{- end }}
    {{- with .model.weights.model }}
    - --model
    - {{ . }}
    {{- end }}
    - --link
    - /run/model/{{ .name }}
  env:
    {{- include "llm-serving.env" (mergeOverwrite (dict "SHIPFIT_CACHE_DIR" "/models" "HOME" "/tmp") .root.Values.store.env) | trim | nindent 4 }}
  {{- with .root.Values.store.secret }}
  envFrom:
    - secretRef:
        name: {{ . }}
  {{- end }}
  terminationMessagePolicy: FallbackToLogsOnError
  resources:
    {{- toYaml .root.Values.store.resources | nindent 4 }}
  securityContext:
    {{- toYaml .root.Values.containerSecurityContext | nindent 4 }}
  volumeMounts:
    - {name: cache, mountPath: /models}
    - {name: link, mountPath: /run/model}
    - {name: tmp, mountPath: /tmp}
    {{- with .model.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "llm-serving.replica.vllm" -}}
{{- $startup := include "llm-serving.model.startupSeconds" . | int64 -}}
- name: vllm
  image: {{ include "llm-serving.engine.image" . }}
  imagePullPolicy: {{ .model.engine.image.pullPolicy | default .root.Values.engine.image.pullPolicy }}
  command:
    {{- toYaml .root.Values.engine.command | nindent 4 }}
  args:
    {{- include "llm-serving.engine.words" . | nindent 4 }}
  env:
    {{- include "llm-serving.engine.env" . | trim | nindent 4 }}
    {{- with .model.engine.extraEnv }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if .worker }}
  lifecycle: # no probe: it has no server, and where it hangs, its leader makes no step and the group is made anew
    preStop: # until the leader, whose requests pass through this pod too, has ended
      exec:
        command:
          {{- toYaml .root.Values.engine.command | nindent 10 }}
          - /etc/replica/leader_ended.py
          - {{ include "llm-serving.group.port" . | quote }}
  {{- else }}
  ports:
    - {name: vllm, containerPort: 8000}
  startupProbe: # every 5 s, until the start-up budget of {{ $startup }} s is spent
    httpGet: {path: /health, port: vllm}
    periodSeconds: 5
    timeoutSeconds: 5
    failureThreshold: {{ div (add $startup 4) 5 }}
  readinessProbe:
    httpGet: {path: /health, port: vllm}
    periodSeconds: 5
    timeoutSeconds: 5
  livenessProbe: # /health answers 200 while the engine hangs: this looks at what the engine does
    exec:
      command:
        {{- toYaml .root.Values.engine.command | nindent 8 }}
        - /etc/replica/engine_alive.py
        - --model
        - {{ .model.servedName | default .name | quote }}
        - --stalled-seconds
        - {{ .model.engine.stalledSeconds | quote }}
    periodSeconds: 30
    timeoutSeconds: 25
  lifecycle:
    preStop: # answers on, until no router names this replica any more
      sleep:
        seconds: {{ .root.Values.drain.routerSeconds }}
  {{- end }}
  terminationMessagePolicy: FallbackToLogsOnError
  resources:
    {{- include "llm-serving.model.resources" . | trim | nindent 4 }}
  securityContext:
    {{- toYaml .root.Values.containerSecurityContext | nindent 4 }}
  volumeMounts:
    - {name: cache, mountPath: /models, readOnly: true}
    - {name: cache, mountPath: /home/vllm, subPath: home} # compiled kernels, kept with the weights
    - {name: link, mountPath: /run/model, readOnly: true}
    - {name: tmp, mountPath: /tmp}
    - {name: shm, mountPath: /dev/shm}
    - {name: config, mountPath: /etc/replica, readOnly: true}
    {{- with .model.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}

{{- define "llm-serving.replica.volumes" -}}
- name: cache
  {{- if .root.Values.cache.claim }}
  persistentVolumeClaim:
    claimName: {{ .root.Values.cache.claim }}
  {{- else }}
  emptyDir: { {{- with include "llm-serving.model.cacheSize" . }}sizeLimit: {{ . }}{{ end -}} }
  {{- end }}
- name: link # of this pod alone: an update on a shared cache must not turn another pod's link
  emptyDir: {}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir:
    medium: Memory
    sizeLimit: {{ .model.engine.sharedMemory }}
- name: config
  configMap:
    name: {{ .root.Release.Name }}-{{ .name }}
{{- with .model.extraVolumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}
