{{/*
The common part of our three services. Each of their deployment files calls "wsmesh.deployment" with a dict:
root, component, values, port (0: no public port), secret (dict: name, key, env; none in the demo profile), and for admin
serviceAccount and env (a dict of more variables).
*/}}
{{- define "wsmesh.deployment" -}}
{{- $root := .root -}}
{{- $id := list .root .component -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "wsmesh.name" $id }}
  labels:
    {{- include "wsmesh.labels" $id | nindent 4 }}
spec:
  replicas: {{ .values.replicas }}
  selector:
    matchLabels:
      {{- include "wsmesh.selector" $id | nindent 6 }}
  strategy:
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    metadata:
      labels:
        {{- include "wsmesh.podLabels" $id | nindent 8 }}
      annotations:
        kubectl.kubernetes.io/default-container: {{ .component }}
        {{- with .values.config }}
        wsmesh/config-checksum: {{ sha256sum . }}
        {{- end }}
        {{- with .values.podAnnotations }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    spec:
      {{- include "wsmesh.podSecurity" . | nindent 6 }}
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      # preStop.sleep, the service's own grace period, and a margin.
      terminationGracePeriodSeconds: {{ add $root.Values.drain.preStopSleepSeconds $root.Values.drain.shutdownGraceSeconds 5 }}
      containers:
        - name: {{ .component }}
          image: {{ include "wsmesh.image" $id }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          {{- include "wsmesh.containerSecurity" . | nindent 10 }}
          env:
            {{- include "wsmesh.environment" . | nindent 12 }}
          ports:
            {{- if .port }}
            - name: http
              containerPort: {{ .port }}
            {{- end }}
            - name: ops
              containerPort: 9090
          # Liveness does not depend on Redis. A service is ready while it hears a node and is not stopping.
          startupProbe:
            httpGet: {path: /livez, port: ops}
            periodSeconds: 1
            failureThreshold: 30
          livenessProbe:
            httpGet: {path: /livez, port: ops}
            periodSeconds: 10
            timeoutSeconds: 3
          readinessProbe:
            httpGet: {path: /readyz, port: ops}
            periodSeconds: 2
            timeoutSeconds: 2
          lifecycle:
            preStop:
              sleep:
                seconds: {{ $root.Values.drain.preStopSleepSeconds }}
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          {{- include "wsmesh.mounts" . | nindent 10 }}
      {{- include "wsmesh.volumes" . | nindent 6 }}
      {{- include "wsmesh.placement" (list .root .component .values) | nindent 6 }}
{{- end }}

{{/* Configuration by environment variables. */}}
{{- define "wsmesh.environment" -}}
{{- $root := .root -}}
- name: WSMESH_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: WSMESH_PROFILE
  value: {{ $root.Values.profile }}
- name: WSMESH_PREFIX
  value: {{ $root.Values.prefix | quote }}
- name: WSMESH_REDIS
  value: {{ include "wsmesh.redisUrls" $root | quote }}
{{- if include "wsmesh.redisSecret" $root }}
- name: WSMESH_REDIS_PASSWORD_FILE
  value: /etc/wsmesh/redis/password
{{- end }}
{{- with .secret }}
- name: {{ .env }}
  value: /etc/wsmesh/secret/{{ .key }}
{{- end }}
{{- if include "wsmesh.tokensSecret" . }}
- name: WSMESH_TOKENS_FILE
  value: /etc/wsmesh/tokens/tokens.toml
{{- end }}
{{- if .values.config }}
- name: WSMESH_CONFIG
  value: /etc/wsmesh/config/config.toml
{{- end }}
- name: WSMESH_SHUTDOWN_GRACE
  value: {{ $root.Values.drain.shutdownGraceSeconds }}s
- name: WSMESH_LOG_LEVEL
  value: {{ $root.Values.log.level | quote }}
- name: WSMESH_LOG_FORMAT
  value: json
{{- $endpoint := $root.Values.otel.endpoint -}}
{{- if and (not $endpoint) $root.Values.jaeger.enabled -}}
{{- $endpoint = printf "http://%s:4318" (include "wsmesh.name" (list $root "jaeger")) -}}
{{- end }}
{{- with $endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
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
{{- range $name, $value := .env }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- with .values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The Secret with admin's tokens file; empty if there is none. Argument: dict values. */}}
{{- define "wsmesh.tokensSecret" -}}
{{- with .values.tokens }}{{ .existingSecret }}{{ end -}}
{{- end }}

{{/* Secrets and the config file, mounted as files. */}}
{{- define "wsmesh.mounts" -}}
{{- if or (include "wsmesh.redisSecret" .root) (include "wsmesh.tokensSecret" .) .secret .values.config -}}
volumeMounts:
  {{- if include "wsmesh.redisSecret" .root }}
  - name: redis-password
    mountPath: /etc/wsmesh/redis
    readOnly: true
  {{- end }}
  {{- if .secret }}
  - name: secret
    mountPath: /etc/wsmesh/secret
    readOnly: true
  {{- end }}
  {{- if include "wsmesh.tokensSecret" . }}
  - name: tokens
    mountPath: /etc/wsmesh/tokens
    readOnly: true
  {{- end }}
  {{- if .values.config }}
  - name: config
    mountPath: /etc/wsmesh/config
    readOnly: true
  {{- end }}
{{- end -}}
{{- end }}

{{- define "wsmesh.volumes" -}}
{{- if or (include "wsmesh.redisSecret" .root) (include "wsmesh.tokensSecret" .) .secret .values.config -}}
volumes:
  {{- with include "wsmesh.redisSecret" .root }}
  - name: redis-password
    secret:
      secretName: {{ . }}
      defaultMode: 0440
  {{- end }}
  {{- with .secret }}
  - name: secret
    secret:
      secretName: {{ .name }}
      defaultMode: 0440
  {{- end }}
  {{- with include "wsmesh.tokensSecret" . }}
  - name: tokens
    secret:
      secretName: {{ . }}
      defaultMode: 0440
  {{- end }}
  {{- if .values.config }}
  - name: config
    configMap:
      name: {{ include "wsmesh.name" (list .root .component) }}
  {{- end }}
{{- end -}}
{{- end }}

{{/* A config file given in the values. Argument: dict root component values. */}}
{{- define "wsmesh.configMap" -}}
{{- if .values.config -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "wsmesh.name" (list .root .component) }}
  labels:
    {{- include "wsmesh.labels" (list .root .component) | nindent 4 }}
data:
  config.toml: |
    {{- .values.config | nindent 4 }}
{{- end -}}
{{- end }}

{{/* A Service for clients. Argument: dict root component values targetPort. */}}
{{- define "wsmesh.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "wsmesh.name" (list .root .component) }}
  labels:
    {{- include "wsmesh.labels" (list .root .component) | nindent 4 }}
  {{- with .values.service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ .values.service.type }}
  selector:
    {{- include "wsmesh.selector" (list .root .component) | nindent 4 }}
  ports:
    - name: http
      port: {{ .values.service.port }}
      targetPort: http
      appProtocol: {{ .appProtocol }}
      {{- with .values.service.nodePort }}
      nodePort: {{ . }}
      {{- end }}
{{- end }}

{{/* At most one pod of a component may be evicted at a time. Argument: list root component. */}}
{{- define "wsmesh.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "wsmesh.name" . }}
  labels:
    {{- include "wsmesh.labels" . | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "wsmesh.selector" . | nindent 6 }}
{{- end }}

{{/* A Secret with one generated value. Argument: dict root component key. */}}
{{- define "wsmesh.secret" -}}
{{- $name := include "wsmesh.name" (list .root .component) -}}
apiVersion: v1
kind: Secret
metadata:
  name: {{ $name }}
  labels:
    {{- include "wsmesh.labels" (list .root .component) | nindent 4 }}
type: Opaque
data:
  {{ .key }}: {{ include "wsmesh.generated" (list .root $name .key) }}
{{- end }}
