{{/* Refuses values of Redis that contradict each other. Argument: root. */}}
{{- define "wsmesh.redis.check" -}}
{{- include "wsmesh.redis.checkExternal" . -}}
{{- include "wsmesh.redis.checkConfig" .Values.redis.config -}}
{{- if and (not .Values.redis.auth.enabled) .Values.redis.auth.existingSecret -}}
{{- fail "redis.auth.existingSecret is set, but redis.auth.enabled is false, so no password is asked for: set redis.auth.enabled to true, or remove it" -}}
{{- end -}}
{{- if and .Values.redis.tls.certManager.issuerRef (not (include "wsmesh.redisPods" .)) -}}
{{- fail "redis.tls.certManager.issuerRef makes certificates of Redis pods, and redis.replicas is 0: remove it, and name the Secret with the authority of the nodes outside in redis.tls.caSecret" -}}
{{- end -}}
{{- end }}

{{/* Nodes outside: each has an id of its own, and no password in its URL. */}}
{{- define "wsmesh.redis.checkExternal" -}}
{{- $ids := list -}}
{{- range $url := .Values.redis.external -}}
{{- $address := regexReplaceAll "[?#].*$" (regexReplaceAll "^rediss?://" $url "") "" -}}
{{- $user := regexFind "^.*@" $address -}}
{{- $host := $address | trimPrefix $user | trimSuffix "/" -}}
{{- if contains ":" $user -}}
{{- fail (printf "redis.external: the URL of %s has a password, which everyone who may look at Deployments would see: put it into a Secret and name that in redis.auth.existingSecret (the user may stay in the URL: redis://app@%s). Nodes with other passwords go into WSMESH_REDIS in extraEnv of all services, from a Secret" $host $host) -}}
{{- end -}}
{{- $id := regexFind "#.+$" $url | trimPrefix "#" | default $host -}}
{{- if has $id $ids -}}
{{- fail (printf "redis.external: two nodes have the id %q: write another one behind # of one of them" $id) -}}
{{- end -}}
{{- $ids = append $ids $id -}}
{{- if and (regexMatch "^redis-[0-9]+$" $id) (include "wsmesh.redisPods" $) -}}
{{- fail (printf "redis.external: %q is the id of a Redis pod of this release: write another one behind #, for example #outside-%s" $id (trimPrefix "redis-" $id)) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Lines of redis.conf that the chart writes itself: the later one of two would win, unseen by all checks. Argument: the text. */}}
{{- define "wsmesh.redis.checkConfig" -}}
{{- $own := list "port" "tls-port" "tls-cert-file" "tls-key-file" "tls-auth-clients" "dir" "save" "appendonly" "maxmemory" "maxmemory-policy" "maxmemory-clients" "tcp-keepalive" "protected-mode" "unixsocket" "unixsocketperm" "user" "requirepass" "aclfile" "include" -}}
{{- range $line := splitList "\n" . -}}
{{- $words := regexSplit "\\s+" (trim $line) -1 -}}
{{- $key := first $words | lower -}}
{{- if or (has $key $own) (and (eq $key "client-output-buffer-limit") (regexMatch "(?i)\\spubsub\\s" $line)) -}}
{{- fail (printf "redis.config sets %s, which the chart decides from its other values (redis.maxmemory, redis.maxmemoryClients, redis.pubsubOutputBuffer, redis.auth, redis.tls): set those, and remove it" $key) -}}
{{- end -}}
{{- end -}}
{{- end }}
