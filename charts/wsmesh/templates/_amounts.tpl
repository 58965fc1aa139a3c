{{/* Amounts in the values: what Kubernetes writes, what Redis writes, and durations of our services. */}}

{{/* An amount as Kubernetes writes it (512Mi, 1G, 1e9, 250m, 0.5), as a number with fractions. Argument: the text or number. */}}
{{- define "wsmesh.amount" -}}
{{- $text := ternary (toString .) (printf "%f" (float64 .)) (kindIs "string" .) -}}
{{- $units := dict "" 1.0 "n" 1e-9 "u" 1e-6 "m" 1e-3 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "P" 1e15 "E" 1e18 "Ki" 1024.0 "Mi" 1048576.0 "Gi" 1073741824.0 "Ti" 1099511627776.0 "Pi" 1125899906842624.0 "Ei" 1152921504606846976.0 -}}
{{- $number := regexFind "^([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?" $text -}}
{{- $unit := trimPrefix $number $text -}}
{{- if or (not $number) (not (hasKey $units $unit)) -}}
{{- fail (printf "%s is no amount: write 512Mi or 1Gi of memory, 250m or 1 of CPU" $text) -}}
{{- end -}}
{{- mulf (float64 $number) (get $units $unit) | printf "%f" -}}
{{- end }}

{{/* Memory in bytes, as Kubernetes writes it. Argument: the text or number. */}}
{{- define "wsmesh.bytes" -}}
{{- include "wsmesh.amount" . | float64 | int64 -}}
{{- end }}

{{/* Memory in bytes, as redis.conf has it (64mb, 1gb, 1048576). Argument: the text. */}}
{{- define "wsmesh.redisBytes" -}}
{{- $units := dict "" 1 "kb" 1024 "mb" 1048576 "gb" 1073741824 -}}
{{- mul (regexFind "^[0-9]+" . | int64) (get $units (regexFind "[a-z]*$" .) | int64) -}}
{{- end }}

{{/* A duration of our services in seconds, with fractions (250ms, 25s, 2m, 1h). Argument: the text. */}}
{{- define "wsmesh.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- mulf (regexFind "^[0-9.]+" . | float64) (get $units (regexFind "[a-z]+$" .) | default 1.0) | printf "%f" -}}
{{- end }}

{{/* Bytes as people write them, rounded up to MiB. Argument: the number. */}}
{{- define "wsmesh.mebibytes" -}}
{{- printf "%dMi" (div (add (int64 .) 1048575) 1048576) -}}
{{- end }}

{{/* Refuses a request that is above its limit: Kubernetes would. Argument: dict key resources; the key is for the message. */}}
{{- define "wsmesh.checkResources" -}}
{{- $limits := .resources.limits | default dict -}}
{{- range $name, $request := .resources.requests | default dict -}}
{{- $limit := get $limits $name -}}
{{- if and (hasKey $limits $name) (gt (include "wsmesh.amount" $request | float64) (include "wsmesh.amount" $limit | float64)) -}}
{{- fail (printf "%s.requests.%s is %v, more than its limit of %v: lower it, or raise %s.limits.%s" $.key $name $request $limit $.key $name) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Refuses a memory limit below what a service may hold. Argument: dict key resources parts settings; parts are dicts of bytes and what
     holds them, settings say what can be lowered. 64 MiB are for all else. */}}
{{- define "wsmesh.checkMemory" -}}
{{- $least := 67108864 -}}
{{- $what := list -}}
{{- range .parts -}}
{{- $least = add $least (int64 .bytes) -}}
{{- $what = append $what (printf "%s %s" .what (include "wsmesh.mebibytes" .bytes)) -}}
{{- end -}}
{{- with dig "limits" "memory" "" (.resources | default dict) -}}
{{- if lt (include "wsmesh.bytes" . | int64) $least -}}
{{- fail (printf "%s.resources.limits.memory is %v, but %s, and all else 64Mi: raise it to %s or more, or lower %s" $.key . (join ", " $what) (include "wsmesh.mebibytes" $least) $.settings) -}}
{{- end -}}
{{- end -}}
{{- end }}
