{{/*
Pods of our three services. Each part is a template of its own; "wsmesh.deployment" puts them together. All take one dict, the part:

  root         `.` of the chart
  component    ws-node, game-logic, admin
  values       its section of the values
  port         number of its public port; 0: none
  config       text of its config file; empty: none
  secrets      list of dict name key env: Secrets that are mounted at /etc/wsmesh/NAME (first one: /etc/wsmesh/secret), where the
               variable env names the file of the key
  env          dict of more variables: name → value
  account      name of its service account; empty: none
  callsApi     whether pods get a token for the Kubernetes API
*/}}

{{/* A whole Deployment. */}}
{{- define "wsmesh.deployment" -}}
{{- $root := .root -}}
{{- with $root.Values.debug.existingSecret -}}
{{- $_ := set $ "secrets" (append ($.secrets | default list) (dict "name" "debug" "secret" . "key" "token" "env" "WSMESH_DEBUG_TOKEN_FILE")) -}}
{{- end -}}
{{- $id := list .root .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "wsmesh.metadata" $id | nindent 2 }}
spec:
  {{- with include "wsmesh.replicas" (dict "root" $root "component" .component "values" .values "kind" "Deployment" "default" 2) }}
  {{- . | nindent 2 }}
  {{- end }}
  revisionHistoryLimit: 3
  {{- include "wsmesh.strategy" .values | nindent 2 }}
  selector:
    matchLabels:
      {{- include "wsmesh.selector" $id | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "wsmesh.podLabels" (list .root .component .values) | nindent 8 }}
      annotations:
        {{- include "wsmesh.podAnnotations" . | nindent 8 }}
    spec:
      {{- include "wsmesh.podSecurity" . | nindent 6 }}
      {{- with include "wsmesh.pullSecrets" $root }}
      {{- . | nindent 6 }}
      {{- end }}
      # preStop.sleep, the service's own grace period, and a margin.
      terminationGracePeriodSeconds: {{ add $root.Values.drain.preStopSleepSeconds $root.Values.drain.shutdownGraceSeconds 5 }}
      {{- with .values.initContainers }}
      initContainers:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
        - {{ include "wsmesh.container" . | nindent 10 | trim }}
        {{- with .values.extraContainers }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with include "wsmesh.volumes" . }}
      {{- . | nindent 6 }}
      {{- end }}
      {{- include "wsmesh.placement" (list .root .component .values) | nindent 6 }}
{{- end }}

{{/* How pods are replaced. Argument: values. */}}
{{- define "wsmesh.strategy" -}}
{{- with .minReadySeconds -}}
# A pod counts as available only after this, so the next one is not replaced before the new one has met the others.
minReadySeconds: {{ int . }}
{{ end -}}
strategy:
  {{- ternary (omit .strategy "rollingUpdate") .strategy (eq .strategy.type "Recreate") | toYaml | nindent 2 }}
{{- end }}

{{/* The container of the service. */}}
{{- define "wsmesh.container" -}}
{{- $root := .root -}}
{{- include "wsmesh.checkPart" . -}}
name: {{ .component }}
image: {{ include "wsmesh.image" (list .root .component) }}
imagePullPolicy: {{ $root.Values.image.pullPolicy }}
{{ include "wsmesh.containerSecurity" . }}
env:
  {{- include "wsmesh.environment" . | nindent 2 }}
ports:
  {{- if .port }}
  - name: http
    containerPort: {{ .port }}
  {{- end }}
  - name: ops
    containerPort: 9090
{{ include "wsmesh.probes" . }}
lifecycle:
  preStop:
    sleep:
      seconds: {{ int $root.Values.drain.preStopSleepSeconds }}
resources:
  {{- toYaml .values.resources | nindent 2 }}
{{- with include "wsmesh.mounts" . }}
{{ . }}
{{- end }}
{{- end }}

{{/* Annotations of pods. A changed config file restarts them, a changed Secret does not: it is read again. */}}
{{- define "wsmesh.podAnnotations" -}}
{{- $own := dict -}}
{{- with .config }}{{ $_ := set $own "wsmesh/config-checksum" (sha256sum .) }}{{ end -}}
{{- merge $own .values.podAnnotations (dict "kubectl.kubernetes.io/default-container" .component) | toYaml -}}
{{- end }}

{{/* Probes on the ops port. Liveness does not depend on Redis. A service is ready while it hears a node and is not stopping. */}}
{{- define "wsmesh.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: ops}
  periodSeconds: 1
  timeoutSeconds: 3
  failureThreshold: {{ int .root.Values.liveness.silentSeconds }}
livenessProbe:
  httpGet: {path: /livez, port: ops}
  {{- include "wsmesh.silence" .root | nindent 2 }}
readinessProbe:
  httpGet: {path: /readyz, port: ops}
  periodSeconds: 2
  timeoutSeconds: 2
{{- end }}

{{/* How long a container may be silent before it is restarted. A probe has until the next one: one that is only slow is no failure. */}}
{{- define "wsmesh.silence" -}}
periodSeconds: 10
timeoutSeconds: 10
failureThreshold: {{ divf .Values.liveness.silentSeconds 10 | ceil | int }}
{{- end }}

{{/* Configuration by environment variables. Nothing in here changes with the number of Redis pods. */}}
{{- define "wsmesh.environment" -}}
{{- $root := .root -}}
- name: WSMESH_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: WSMESH_PROFILE
  value: {{ $root.Values.profile }}
- name: WSMESH_PREFIX
  value: {{ include "wsmesh.prefix" $root | quote }}
- name: WSMESH_CLUSTER_ID
  value: {{ include "wsmesh.clusterId" $root | quote }}
{{- if include "wsmesh.redisPods" $root }}
- name: WSMESH_REDIS_SERVICE
  value: {{ include "wsmesh.redisService" $root | quote }}
{{- else if not (or $root.Values.redis.external (include "wsmesh.ownNodes" .)) }}
{{- fail "no Redis node: leave redis.replicas empty or set it to 1 or more, or list nodes in redis.external" }}
{{- end }}
{{- with $root.Values.redis.external }}
- name: WSMESH_REDIS
  value: {{ join "," . | quote }}
{{- end }}
{{- if include "wsmesh.redisSecret" $root }}
- name: WSMESH_REDIS_PASSWORD_FILE
  value: /etc/wsmesh/redis/password
{{- end }}
{{- range $index, $secret := .secrets }}
- name: {{ .env }}
  value: {{ printf "/etc/wsmesh/%s/%s" .name .key }}
{{- end }}
{{- if include "wsmesh.partTls" . }}
- name: WSMESH_TLS_CERTIFICATE_FILE
  value: /etc/wsmesh/tls/tls.crt
- name: WSMESH_TLS_KEY_FILE
  value: /etc/wsmesh/tls/tls.key
{{- end }}
{{- if .config }}
- name: WSMESH_CONFIG
  value: /etc/wsmesh/config/config.toml
{{- end }}
- name: WSMESH_SHUTDOWN_GRACE
  value: {{ int $root.Values.drain.shutdownGraceSeconds }}s
- name: WSMESH_LOG_LEVEL
  value: {{ $root.Values.log.level | quote }}
- name: WSMESH_LOG_FORMAT
  value: json
{{- include "wsmesh.tracing" . }}
{{- range $name, $value := .env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* "true" if the values name nodes in the environment: those with passwords of their own. Argument: the part. */}}
{{- define "wsmesh.ownNodes" -}}
{{- range .values.extraEnv }}{{ if eq .name "WSMESH_REDIS" }}true{{ end }}{{ end -}}
{{- end }}

{{/* Variables for what is sent by OTLP, if there is an endpoint. */}}
{{- define "wsmesh.tracing" -}}
{{- $root := .root -}}
{{- $endpoint := $root.Values.otel.endpoint -}}
{{- if and (not $endpoint) $root.Values.jaeger.enabled -}}
{{- $endpoint = printf "http://%s:4318" (include "wsmesh.name" (list $root "jaeger")) -}}
{{- end }}
{{- with $root.Values.otel.traceSlowerThan }}
- name: WSMESH_TRACE_SLOWER_THAN
  value: {{ . | quote }}
{{- end }}
{{- with $endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- if $root.Values.otel.metrics }}
- name: OTEL_METRICS_EXPORTER
  value: otlp
{{- end }}
{{- if $root.Values.otel.logs }}
- name: OTEL_LOGS_EXPORTER
  value: otlp
{{- end }}
- name: OTEL_TRACES_SAMPLER
  value: parentbased_traceidratio
- name: OTEL_TRACES_SAMPLER_ARG
  value: {{ ternary 1 $root.Values.otel.ratio (eq $root.Values.profile "demo") | quote }}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.namespace.name=$(POD_NAMESPACE),k8s.pod.name=$(WSMESH_NAME)
{{- end }}
{{- end }}

{{/* Name of the Secret with the TLS files of a service's public port; empty without TLS. */}}
{{- define "wsmesh.partTls" -}}
{{- with .values.tls }}{{ include "wsmesh.tlsSecret" (list $.root $.component .) }}{{ end -}}
{{- end }}

{{/* What is mounted below /etc/wsmesh: a list of volume, path, and secret or configMap. */}}
{{- define "wsmesh.files" -}}
{{- $files := list -}}
{{- with include "wsmesh.redisSecret" .root -}}
{{- $files = append $files (dict "volume" "redis-password" "path" "redis" "secret" .) -}}
{{- end -}}
{{- with .root.Values.redis.tls.caSecret | default (include "wsmesh.tlsSecret" (list .root "redis" .root.Values.redis.tls)) -}}
{{- $files = append $files (dict "volume" "redis-ca" "path" "redis-ca" "secret" . "only" "ca.crt") -}}
{{- end -}}
{{- range .secrets -}}
{{- $files = append $files (dict "volume" .name "path" .name "secret" .secret) -}}
{{- end -}}
{{- with include "wsmesh.partTls" . -}}
{{- $files = append $files (dict "volume" "tls" "path" "tls" "secret" .) -}}
{{- end -}}
{{- if .config -}}
{{- $files = append $files (dict "volume" "config" "path" "config" "configMap" (include "wsmesh.name" (list .root .component))) -}}
{{- end -}}
{{- toYaml $files -}}
{{- end }}

{{/* Mounts and volumes of those files, then those of the values. Whole folders are mounted, so a changed Secret arrives in the pod. */}}
{{- define "wsmesh.mounts" -}}
{{- $mounts := list -}}
{{- range include "wsmesh.files" . | fromYamlArray -}}
{{- $mounts = append $mounts (dict "name" .volume "mountPath" (printf "/etc/wsmesh/%s" .path) "readOnly" true) -}}
{{- end -}}
{{- with concat $mounts (.values.extraVolumeMounts | default list) -}}
volumeMounts:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end }}

{{- define "wsmesh.volumes" -}}
{{- $volumes := list -}}
{{- range include "wsmesh.files" . | fromYamlArray -}}
{{- if .secret -}}
{{- $source := dict "secretName" .secret "defaultMode" 288 -}}{{- /* 0440 */ -}}
{{- with .only }}{{ $_ := set $source "items" (list (dict "key" . "path" .)) }}{{ end -}}
{{- $volumes = append $volumes (dict "name" .volume "secret" $source) -}}
{{- else -}}
{{- $volumes = append $volumes (dict "name" .volume "configMap" (dict "name" .configMap)) -}}
{{- end -}}
{{- end -}}
{{- with concat $volumes (.values.extraVolumes | default list) -}}
volumes:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end }}

{{/* Pod-level security: the "restricted" Pod Security Standard. Argument: dict root account callsApi. */}}
{{- define "wsmesh.podSecurity" -}}
{{- with .account -}}
serviceAccountName: {{ . }}
{{ end -}}
automountServiceAccountToken: {{ if and .account .callsApi }}true{{ else }}false{{ end }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.podSecurity.user }}
  runAsUser: {{ int . }}
  runAsGroup: {{ int . }}
  fsGroup: {{ int . }}
  {{- end }}
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* Container-level security. */}}
{{- define "wsmesh.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Placement of pods: as the values say, else spread over the machines. Argument: list root component values. */}}
{{- define "wsmesh.placement" -}}
{{- $values := index . 2 -}}
{{- $selector := dict "matchLabels" (include "wsmesh.selector" . | fromYaml) -}}
{{- $spread := $values.topologySpreadConstraints -}}
{{- if kindIs "invalid" $spread -}}
{{- $own := dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway" -}}
{{- if ne (index . 1) "redis" -}}
{{- /* New pods are spread among themselves: the old ones of a Deployment leave when the new ones are there. */ -}}
{{- $_ := set $own "matchLabelKeys" (list "pod-template-hash") -}}
{{- end -}}
{{- $spread = list $own -}}
{{- end -}}
{{- $constraints := list -}}
{{- range $spread -}}
{{- $constraints = append $constraints (merge (dict) . (dict "labelSelector" $selector)) -}}
{{- end -}}
{{- with $constraints -}}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
