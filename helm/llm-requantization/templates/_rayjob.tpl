{{/* The Ray job of a pipeline, (dict "root" $ "name" ... "pipeline" ...), as `shipfit quantize --rayjob` takes it: it adds
to the name what the work is, and an owner. The driver runs on the head, which has no processors to give, the stages on
workers. */}}
{{- define "llm-requantization.rayjob" -}}
{{- $root := .root }}
{{- $pipeline := .pipeline }}
{{- $self := dict "root" $root "component" "ray" "pipeline" .name }}
{{- $workers := $pipeline.workers }}
apiVersion: ray.io/v1
kind: RayJob
metadata:
  name: {{ printf "%s-%s" $root.Release.Name .name | trunc 36 | trimSuffix "-" }}
  namespace: {{ $root.Release.Namespace }}
  labels:
    {{- include "llm-requantization.labels" $self | nindent 4 }}
spec:
  submissionMode: HTTPMode # the operator submits it; no pod does
  entrypoint: shipfit quantize /etc/pipeline/pipeline.yaml --address auto
  activeDeadlineSeconds: {{ sub $pipeline.deadlineSeconds 600 }}
  backoffLimit: 0 # whoever made it knows what deserves another try
  shutdownAfterJobFinishes: true
  ttlSecondsAfterFinished: {{ $root.Values.ray.ttlSecondsAfterFinished }}
  rayClusterSpec:
    enableInTreeAutoscaling: true
    autoscalerOptions:
      idleTimeoutSeconds: 120 # a worker is kept from one stage to the next: it holds the models
      imagePullPolicy: {{ $root.Values.ray.image.pullPolicy }}
      env:
        {{- include "llm-requantization.env" (dict "root" $root "env" dict) | trim | nindent 8 }}
      resources:
        {{- toYaml $root.Values.ray.autoscaler.resources | nindent 8 }}
      securityContext:
        {{- toYaml $root.Values.containerSecurityContext | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: api, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
        {{- with $root.Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    headGroupSpec:
      rayStartParams: {num-cpus: "0", object-store-memory: "200000000", dashboard-host: 0.0.0.0}
      template:
        metadata:
          {{- include "llm-requantization.pod.metadata" $self | nindent 10 }}
        spec:
          {{- include "llm-requantization.ray.pod" $root | nindent 10 }}
          {{- include "llm-requantization.pod.placement" (dict "placement" $root.Values.ray.head.placement) | trim | nindent 10 }}
          containers:
            - {{- $driver := include "llm-requantization.driver.env" $pipeline | fromYaml }}
              {{- include "llm-requantization.ray.container" (dict "root" $root "env" $driver "resources" $root.Values.ray.head.resources) | nindent 14 }}
              {{- include "llm-requantization.ray.probes" (dict "path" "/api/gcs_healthz" "port" 8265) | nindent 14 }}
          volumes:
            {{- include "llm-requantization.ray.volumes" . | nindent 12 }}
            - name: api # of the autoscaler alone, which adds and removes workers; what the pipeline runs gets no token
              projected:
                sources:
                  - serviceAccountToken: {path: token, expirationSeconds: 3607}
                  - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
                  - downwardAPI: {items: [{path: namespace, fieldRef: {fieldPath: metadata.namespace}}]}
    workerGroupSpecs:
      - groupName: workers
        replicas: {{ $workers.min }}
        minReplicas: {{ $workers.min }}
        maxReplicas: {{ $workers.max }}
        rayStartParams: {object-store-memory: "200000000"}
        template:
          metadata:
            {{- include "llm-requantization.pod.metadata" $self | nindent 12 }}
          spec:
            {{- include "llm-requantization.ray.pod" $root | nindent 12 }}
            {{- include "llm-requantization.pod.placement" $workers | trim | nindent 12 }}
            containers:
              - {{- include "llm-requantization.ray.container" (dict "root" $root "env" dict "resources" (include "llm-requantization.workers.resources" $workers | fromYaml)) | nindent 16 }}
                {{- include "llm-requantization.ray.probes" (dict "path" "/api/local_raylet_healthz" "port" 52365) | nindent 16 }}
            volumes:
              {{- include "llm-requantization.ray.volumes" . | nindent 14 }}
{{- end }}

{{- define "llm-requantization.ray.pod" -}}
{{ include "llm-requantization.pod.common" . }}
serviceAccountName: {{ include "llm-requantization.serviceAccount" (dict "root" . "purpose" "ray") }}
automountServiceAccountToken: false
{{- end }}

{{- define "llm-requantization.ray.container" -}}
name: ray
image: {{ include "llm-requantization.image" (dict "root" .root "image" .root.Values.ray.image) }}
imagePullPolicy: {{ .root.Values.ray.image.pullPolicy }}
env:
  {{- include "llm-requantization.env" . | trim | nindent 2 }}
{{- with .root.Values.store.secret }}
envFrom:
  - secretRef: {name: {{ . }}}
{{- end }}
resources:
  {{- toYaml .resources | nindent 2 }}
securityContext:
  {{- toYaml .root.Values.containerSecurityContext | nindent 2 }}
volumeMounts:
  - {name: tmp, mountPath: /tmp}
  - {name: shm, mountPath: /dev/shm}
  - {name: pipeline, mountPath: /etc/pipeline, readOnly: true}
  {{- with .root.Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* KubeRay's own probes call wget, which the image has no other use for. Ray itself ends a node that has failed; one
that is only slow must not be restarted, since its work would be lost. */}}
{{- define "llm-requantization.ray.probes" -}}
readinessProbe:
  httpGet: {path: {{ .path }}, port: {{ .port }}}
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  tcpSocket: {port: {{ .port }}}
  periodSeconds: 10
  failureThreshold: 60
{{- end }}

{{- define "llm-requantization.ray.volumes" -}}
- name: tmp
  emptyDir: {}
- name: shm
  emptyDir: {medium: Memory, sizeLimit: {{ .root.Values.ray.sharedMemory }}}
- name: pipeline
  configMap: {name: {{ include "llm-requantization.files" (dict "root" .root "name" .name "given" .pipeline) }}}
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The resources of a worker, with its GPUs. */}}
{{- define "llm-requantization.workers.resources" -}}
{{- $resources := deepCopy .resources }}
{{- with .accelerator }}
{{- $gpus := dict .resource (int64 .count) }}
{{- $resources = mustMerge $resources (dict "requests" $gpus "limits" $gpus) }}
{{- end }}
{{- toYaml $resources }}
{{- end }}
