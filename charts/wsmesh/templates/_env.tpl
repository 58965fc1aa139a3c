{{/* Checks of what the values add to a pod of our three services. Argument of all: the part. */}}

{{/* Key of a component's section in the values. */}}
{{- define "wsmesh.partKey" -}}
{{- get (dict "ws-node" "wsNode" "game-logic" "gameLogic" "admin" "admin") .component -}}
{{- end }}

{{- define "wsmesh.checkPart" -}}
{{- $key := include "wsmesh.partKey" . -}}
{{- $section := get .root.Values $key -}}
{{- include "wsmesh.checkEnv" . -}}
{{- include "wsmesh.checkStrategy" (dict "key" $key "strategy" .values.strategy) -}}
{{- include "wsmesh.checkVolumes" (dict "key" $key "volumes" $section.extraVolumes) -}}
{{- include "wsmesh.checkResources" (dict "key" (printf "%s.resources" $key) "resources" (.values.resources | default dict)) -}}
{{- $names := include "wsmesh.fixedVariables" . | fromYamlArray -}}
{{- range include "wsmesh.environment" . | fromYamlArray -}}
{{- if hasPrefix "WSMESH_" .name }}{{ $names = append $names .name }}{{ end -}}
{{- end -}}
{{- include "wsmesh.toml.checkOnce" (dict "path" $key "settings" $section.settings "text" $section.config "variables" (uniq $names)) -}}
{{- end }}

{{/* Variables that only the chart sets, though not all of them in every pod: ports and probes, names and TLS follow from other values. */}}
{{- define "wsmesh.fixedVariables" -}}
{{- list "WSMESH_CLUSTER_ID" "WSMESH_LISTEN" "WSMESH_LOG_FORMAT" "WSMESH_LOG_LEVEL" "WSMESH_NAME" "WSMESH_OPS_LISTEN" "WSMESH_OPS_TLS" "WSMESH_PREFIX" "WSMESH_PROFILE" "WSMESH_REDIS_SERVICE" "WSMESH_SHUTDOWN_GRACE" "WSMESH_TLS_CERTIFICATE_FILE" "WSMESH_TLS_KEY_FILE" | toYaml -}}
{{- end }}

{{/* Refuses a variable of extraEnv that the chart sets itself: of two with one name only the last would count. */}}
{{- define "wsmesh.checkEnv" -}}
{{- $key := include "wsmesh.partKey" . -}}
{{- $names := list -}}
{{- range include "wsmesh.environment" . | fromYamlArray -}}
{{- if has .name $names -}}
{{- fail (printf "%s.extraEnv sets %s a second time: the chart sets it from other values, so set those, or name it once" $key .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $fixed := include "wsmesh.fixedVariables" . | fromYamlArray -}}
{{- range .values.extraEnv -}}
{{- if has .name $fixed -}}
{{- fail (printf "%s.extraEnv sets %s, which ports, probes and Services of the chart rely on: remove it" $key .name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses to replace pods without one more or one less: nothing could ever be replaced. Argument: dict key strategy. */}}
{{- define "wsmesh.checkStrategy" -}}
{{- $rolling := .strategy.rollingUpdate | default dict -}}
{{- $surge := toString (get $rolling "maxSurge") -}}
{{- $less := toString (get $rolling "maxUnavailable") -}}
{{- if and (ne .strategy.type "Recreate") (regexMatch "^0+%?$" $surge) (regexMatch "^0+%?$" $less) -}}
{{- fail (printf "%s.strategy.rollingUpdate: maxSurge and maxUnavailable are both 0, so no pod could be replaced: set maxSurge to 1" .key) -}}
{{- end -}}
{{- end }}

{{/* Refuses a name of a volume that the chart may use, or that is there twice. Argument: dict key volumes. */}}
{{- define "wsmesh.checkVolumes" -}}
{{- $names := list "config" "debug" "redis-ca" "redis-password" "password" "run" "secret" "tickets" "tls" "token" "tokens" -}}
{{- range .volumes -}}
{{- if or (has .name $names) (regexMatch "^backend-[0-9a-f]{10}$" .name) -}}
{{- fail (printf "%s.extraVolumes: the name %q is taken: give the volume another one" $.key .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end }}
