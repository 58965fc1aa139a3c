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

{{/* Settings, and those that a text has before its first table, as JSON, so that checks see both. Helm reads no TOML in all of its
     versions that this chart is for: a list that goes on in the next line counts as one with something in it. Argument: dict settings text. */}}
{{- define "wsmesh.toml.settings" -}}
{{- $found := dict -}}
{{- range $line := regexSplit "(?m)^[ \\t]*\\[" .text 2 | first | splitList "\n" -}}
{{- if regexMatch "^[ \\t]*[A-Za-z0-9_-]+[ \\t]*=" $line -}}
{{- $key := regexReplaceAll "[ \\t]*=.*$" $line "" | trim -}}
{{- $value := regexReplaceAll "^[^=]*=" $line "" | trim -}}
{{- $text := regexFind "^(\"[^\"]*\"|'[^']*')" $value -}}
{{- if $text -}}
{{- $_ := set $found $key (substr 1 (int (sub (len $text) 1)) $text) -}}
{{- else -}}
{{- $plain := regexReplaceAll "[ \\t]*#.*$" $value "" -}}
{{- if regexMatch "^[0-9][0-9_]*$" $plain -}}
{{- $_ := set $found $key (int64 ($plain | replace "_" "")) -}}
{{- else if regexMatch "^(true|false)$" $plain -}}
{{- $_ := set $found $key (eq $plain "true") -}}
{{- else if and (hasPrefix "[" $plain) (not (hasSuffix "]" $plain)) -}}
{{- $_ := set $found $key (list "…") -}}
{{- else if hasPrefix "[" $plain -}}
{{- $_ := set $found $key (without (regexSplit "[\\[\\],\"' \\t]+" $plain -1) "") -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toJson (merge (dict) .settings $found) -}}
{{- end }}

{{/* Refuses in the text what the chart sets in the environment, which wins over the file, and a setting that is also in the settings:
     TOML allows each key once. Argument: dict path settings text variables; variables are the names of those in the environment. */}}
{{- define "wsmesh.toml.checkOnce" -}}
{{- $before := regexSplit "(?m)^[ \\t]*\\[" .text 2 | first -}}
{{- range $key, $_ := .settings -}}
{{- if regexMatch (printf "(?m)^[ \\t]*%s[ \\t]*=" $key) $before -}}
{{- fail (printf "%s.config and %s.settings both set %s: remove one of them" $.path $.path $key) -}}
{{- end -}}
{{- end -}}
{{- range $name := .variables -}}
{{- $key := $name | trimPrefix "WSMESH_" | lower -}}
{{- if regexMatch (printf "(?m)^[ \\t]*%s[ \\t]*=" $key) $before -}}
{{- fail (printf "%s.config sets %s, which the chart decides from its other values: set those, and remove it" $.path $key) -}}
{{- end -}}
{{- end -}}
{{- end }}
