{{/* game-logic's configuration file (TOML); empty if the values say nothing. Argument: root. */}}
{{- define "wsmesh.gameLogic.config" -}}
{{- include "wsmesh.toml.file" (dict "settings" .Values.gameLogic.settings "text" .Values.gameLogic.config "tables" list) -}}
{{- end }}

{{/* Refuses values of game-logic that contradict each other. Argument: root. */}}
{{- define "wsmesh.gameLogic.check" -}}
{{- include "wsmesh.checkAutoscaling" (dict "path" "gameLogic" "values" .Values.gameLogic "custom" "matches") -}}
{{- include "wsmesh.toml.checkOnce" (dict "path" "gameLogic" "settings" .Values.gameLogic.settings "text" .Values.gameLogic.config) -}}
{{- end }}
