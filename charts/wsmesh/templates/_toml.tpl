{{/* A value in TOML. Numbers of values files are floats: whole ones are written as integers, as the services expect. */}}
{{- define "wsmesh.toml.value" -}}
{{- if kindIs "string" . -}}
{{- toRawJson . -}}
{{- else if kindIs "slice" . -}}
[{{ range $i, $item := . }}{{ if $i }}, {{ end }}{{ include "wsmesh.toml.value" $item }}{{ end }}]
{{- else if and (kindIs "float64" .) (eq (floor .) .) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end }}

{{/* The keys of a table, one a line, sorted. Those that are null are left out. */}}
{{- define "wsmesh.toml.keys" -}}
{{- range $key, $value := . }}
{{- if not (kindIs "invalid" $value) }}
{{ $key }} = {{ include "wsmesh.toml.value" $value }}
{{- end }}
{{- end }}
{{- end }}

{{/* A service's configuration file: settings, then text of the user's own, then tables. Keys before the first table belong to none, so
     that order is needed. Argument: dict settings text tables; tables is a list of dicts header keys. */}}
{{- define "wsmesh.toml.file" -}}
{{- $parts := list -}}
{{- with include "wsmesh.toml.keys" .settings | trim -}}{{- $parts = append $parts . -}}{{- end -}}
{{- with .text | trim -}}{{- $parts = append $parts . -}}{{- end -}}
{{- range .tables -}}
{{- $parts = append $parts (printf "%s\n%s" .header (include "wsmesh.toml.keys" .keys | trim)) -}}
{{- end -}}
{{- join "\n\n" $parts -}}
{{- end }}

{{/* Refuses a setting that is also in the text before its first table: TOML allows each key once. Argument: dict path settings text. */}}
{{- define "wsmesh.toml.checkOnce" -}}
{{- $before := regexSplit "(?m)^[ \\t]*\\[" .text 2 | first -}}
{{- range $key, $_ := .settings -}}
{{- if regexMatch (printf "(?m)^[ \\t]*%s[ \\t]*=" $key) $before -}}
{{- fail (printf "%s.config and %s.settings both set %s: remove one of them" $.path $.path $key) -}}
{{- end -}}
{{- end -}}
{{- end }}
