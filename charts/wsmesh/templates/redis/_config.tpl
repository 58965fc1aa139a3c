{{/* Numbers and files of the Redis pods. */}}

{{/* Bytes of memory that one Redis needs: what it stores and its clients' queues, a quarter more for fragmentation, and 32 MiB for the
     process. Redis counts the queues into maxmemory, but queues grow above it, too: only commands that store something are refused. */}}
{{- define "wsmesh.redisMemory" -}}
{{- $stored := include "wsmesh.redisBytes" .Values.redis.maxmemory | int64 -}}
{{- $queues := include "wsmesh.redisBytes" .Values.redis.maxmemoryClients | int64 -}}
{{- add (div (mul (add $stored $queues) 5) 4) 33554432 -}}
{{- end }}

{{/* Resources of the container, with the memory limit. Contradictions end here. */}}
{{- define "wsmesh.redisResources" -}}
{{- $redis := .Values.redis -}}
{{- $needed := include "wsmesh.redisMemory" . | int64 -}}
{{- $queues := include "wsmesh.redisBytes" $redis.maxmemoryClients | int64 -}}
{{- $buffer := splitList " " $redis.pubsubOutputBuffer -}}
{{- $hard := include "wsmesh.redisBytes" (index $buffer 0) | int64 -}}
{{- $soft := include "wsmesh.redisBytes" (index $buffer 1) | int64 -}}
{{- if gt $soft $hard -}}
{{- fail (printf "redis.pubsubOutputBuffer (%s): the soft limit, which comes second, is above the hard limit" $redis.pubsubOutputBuffer) -}}
{{- end -}}
{{- if gt $hard $queues -}}
{{- fail (printf "redis.pubsubOutputBuffer allows one subscriber %s, but redis.maxmemoryClients all of them only %s: raise the second or lower the first" (index $buffer 0) $redis.maxmemoryClients) -}}
{{- end -}}
{{- $limits := $redis.resources.limits | default dict -}}
{{- $mebibytes := include "wsmesh.mebibytes" $needed -}}
{{- with $limits.memory -}}
{{- if lt (include "wsmesh.bytes" . | int64) $needed -}}
{{- fail (printf "redis.resources.limits.memory (%v) is too little: redis.maxmemory (%s) and redis.maxmemoryClients (%s) need %s; raise it, lower those, or leave it empty" . $redis.maxmemory $redis.maxmemoryClients $mebibytes) -}}
{{- end -}}
{{- end -}}
{{- $resources := merge (dict "limits" (merge (dict) $limits (dict "memory" $mebibytes))) $redis.resources -}}
{{- include "wsmesh.checkResources" (dict "key" "redis.resources" "resources" $resources) -}}
{{- toYaml $resources -}}
{{- end }}

{{/* The files of the ConfigMap. Pods restart when they change, and not when only the chart's version does. */}}
{{- define "wsmesh.redisFiles" -}}
# A bus and not a store: nothing is saved, nothing is evicted, and a subscriber that does not keep up is disconnected.
redis.conf: |
  {{- if include "wsmesh.redisTls" . }}
  port 0
  tls-port 6379
  tls-cert-file /etc/wsmesh/tls/tls.crt
  tls-key-file /etc/wsmesh/tls/tls.key
  # Clients have the password; a certificate of their own is not asked for.
  tls-auth-clients no
  {{- else }}
  port 6379
  {{- end }}
  dir /run/redis
  save ""
  appendonly no
  maxmemory {{ .Values.redis.maxmemory }}
  maxmemory-policy noeviction
  client-output-buffer-limit pubsub {{ .Values.redis.pubsubOutputBuffer }}
  tcp-keepalive 60
  {{- if not .Values.redis.auth.enabled }}
  protected-mode no
  {{- end }}
  {{- with .Values.redis.config }}
  {{- . | nindent 2 }}
  {{- end }}
# For Redis 7 and newer, and Valkey.
redis-7.conf: |
  maxmemory-clients {{ .Values.redis.maxmemoryClients }}
redis.sh: |
  {{- .Files.Get "files/redis/redis.sh" | nindent 2 }}
{{- end }}

{{/* "true" if something in the pod may change that Redis must be told of. */}}
{{- define "wsmesh.redisKeeper" -}}
{{- if or (include "wsmesh.redisSecret" .) (include "wsmesh.redisTls" .) }}true{{ end -}}
{{- end }}

{{/* Image, security, environment and mounts, which Redis and its keeper share. */}}
{{- define "wsmesh.redisContainer" -}}
{{- $secret := include "wsmesh.redisSecret" . -}}
{{- $tls := include "wsmesh.redisTls" . -}}
image: {{ include "wsmesh.foreignImage" (list . "redis.image" .Values.redis.image) }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{ include "wsmesh.containerSecurity" . }}
env:
  - name: PASSWORD_FILE
    value: {{ ternary "/etc/wsmesh/redis/password" "" (ne $secret "") | quote }}
  - name: TLS_FOLDER
    value: {{ ternary "/etc/wsmesh/tls" "" (ne $tls "") | quote }}
  - name: OVERLAP
    value: {{ int .Values.redis.auth.overlapSeconds | quote }}
volumeMounts:
  - name: config
    mountPath: /etc/redis
    readOnly: true
  - name: run
    mountPath: /run/redis
  {{- if $secret }}
  - name: password
    mountPath: /etc/wsmesh/redis
    readOnly: true
  {{- end }}
  {{- if $tls }}
  - name: tls
    mountPath: /etc/wsmesh/tls
    readOnly: true
  {{- end }}
  {{- with .Values.redis.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
