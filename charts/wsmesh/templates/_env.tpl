{{/* Refuses a variable of extraEnv that the chart sets itself: of two with one name only the last would count. Argument: the part. */}}
{{- define "wsmesh.checkEnv" -}}
{{- $key := get (dict "ws-node" "wsNode" "game-logic" "gameLogic" "admin" "admin") .component -}}
{{- $names := list -}}
{{- range include "wsmesh.environment" . | fromYamlArray -}}
{{- if has .name $names -}}
{{- fail (printf "%s.extraEnv sets %s a second time: the chart sets it from other values, so set those, or name it once" $key .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- end }}
