{{/* Where the Secrets that entries of the configuration file name are mounted: each in a folder of its own. */}}
{{- define "wsmesh.wsNode.secretFile" -}}
{{- printf "/etc/wsmesh/backends/%s/%s" .name .key -}}
{{- end }}

{{/* The keys of an entry as the configuration file has them: `x_secret: {name, key}` becomes `x_file`, the path where it is mounted. */}}
{{- define "wsmesh.wsNode.entry" -}}
{{- $entry := dict -}}
{{- range $key, $value := . -}}
{{- if and (hasSuffix "_secret" $key) $value -}}
{{- $_ := set $entry (printf "%s_file" (trimSuffix "_secret" $key)) (include "wsmesh.wsNode.secretFile" $value) -}}
{{- else if not (or (hasSuffix "_secret" $key) (kindIs "invalid" $value)) -}}
{{- $_ := set $entry $key $value -}}
{{- end -}}
{{- end -}}
{{- toJson $entry -}}
{{- end }}

{{/* Names of the Secrets that entries of the configuration file name, comma-separated, each once. Argument: root. */}}
{{- define "wsmesh.wsNode.entrySecrets" -}}
{{- $names := list -}}
{{- $entries := concat .Values.wsNode.rules .Values.wsNode.watch (list .Values.wsNode.connect) -}}
{{- range $entry := $entries -}}
{{- range $key, $value := $entry -}}
{{- if and (hasSuffix "_secret" $key) $value -}}
{{- $names = append $names $value.name -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $names | uniq | sortAlpha | join "," -}}
{{- end }}

{{/* The settings of ws-node, those in the text among them, as JSON. Argument: root. */}}
{{- define "wsmesh.wsNode.allSettings" -}}
{{- include "wsmesh.toml.settings" (dict "settings" .Values.wsNode.settings "text" .Values.wsNode.config) -}}
{{- end }}

{{/* ws-node's configuration file (TOML); empty if the values say nothing. Argument: root. */}}
{{- define "wsmesh.wsNode.config" -}}
{{- $values := .Values.wsNode -}}
{{- $tables := list -}}
{{- if $values.connect -}}
{{- $tables = append $tables (dict "header" "[connect]" "keys" (include "wsmesh.wsNode.entry" $values.connect | fromJson)) -}}
{{- end -}}
{{- range $kind := list "rules" "watch" "namespaces" "delivery" -}}
{{- range $entry := get $values $kind -}}
{{- $tables = append $tables (dict "header" (printf "[[%s]]" $kind) "keys" (include "wsmesh.wsNode.entry" $entry | fromJson)) -}}
{{- end -}}
{{- end -}}
{{- include "wsmesh.toml.file" (dict "settings" $values.settings "text" $values.config "tables" $tables) -}}
{{- end }}
