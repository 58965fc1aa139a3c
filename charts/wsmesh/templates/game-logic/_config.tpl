{{/* game-logic's configuration file (TOML); empty if the values say nothing. Argument: root. */}}
{{- define "wsmesh.gameLogic.config" -}}
{{- include "wsmesh.toml.file" (dict "settings" .Values.gameLogic.settings "text" .Values.gameLogic.config "tables" list) -}}
{{- end }}

{{/* Refuses values of game-logic that contradict each other. Argument: root. */}}
{{- define "wsmesh.gameLogic.check" -}}
{{- include "wsmesh.checkAutoscaling" (dict "path" "gameLogic" "values" .Values.gameLogic "custom" "matches") -}}
{{- $settings := include "wsmesh.toml.settings" (dict "settings" .Values.gameLogic.settings "text" .Values.gameLogic.config) | fromJson -}}
{{- /* Defaults of the service. */ -}}
{{- $drain := $settings.match_drain | default "10s" -}}
{{- $grace := int .Values.drain.shutdownGraceSeconds -}}
{{- if gt (mulf 2.0 (include "wsmesh.seconds" $drain | float64)) (float64 $grace) -}}
{{- fail (printf "gameLogic.settings.match_drain is %s, but matches that run get at most half of drain.shutdownGraceSeconds, %d s: raise that, or lower match_drain" $drain $grace) -}}
{{- end -}}
{{- include "wsmesh.checkMemory" (dict "key" "gameLogic" "resources" .Values.gameLogic.resources
  "parts" (list (dict "what" "the replay window may hold" "bytes" ($settings.replay_bytes | default 67108864)))
  "settings" "gameLogic.settings.replay_bytes") -}}
{{- end }}
