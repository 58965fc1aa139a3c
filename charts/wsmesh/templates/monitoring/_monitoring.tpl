{{/* The components whose port `ops` is scraped. */}}
{{- define "wsmesh.scraped" -}}
ws-node,game-logic,admin
{{- end }}

{{/* What tells this release's series from others: matchers of PromQL. The monitors set both labels. */}}
{{- define "wsmesh.seriesSelector" -}}
{{- .Values.monitoring.selector | default (printf "namespace=%q,release=%q" .Release.Namespace .Release.Name) -}}
{{- end }}

{{/* Labels that every scraped series gets, for both kinds of monitor. */}}
{{- define "wsmesh.relabelings" -}}
- sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_instance]
  targetLabel: release
- sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component]
  targetLabel: component
{{- end }}

{{/* One endpoint of a monitor. */}}
{{- define "wsmesh.monitorEndpoint" -}}
{{- $values := .values -}}
- port: ops
  path: /metrics
  {{- with $values.interval }}
  interval: {{ . }}
  {{- end }}
  {{- with $values.scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  relabelings:
    {{- include "wsmesh.relabelings" .root | nindent 4 }}
    {{- with $values.relabelings }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $values.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Refuses what contradicts itself. */}}
{{- define "wsmesh.monitoring.check" -}}
{{- if and .Values.monitoring.serviceMonitor.enabled .Values.monitoring.podMonitor.enabled -}}
{{- fail "monitoring.serviceMonitor and monitoring.podMonitor are both enabled: every pod would be scraped twice, so enable one of them" -}}
{{- end -}}
{{- range $name := .Values.monitoring.prometheusRule.disabled -}}
{{- if not (contains (printf "- alert: %s\n" $name) ($.Files.Get "files/alerts.yaml")) -}}
{{- fail (printf "monitoring.prometheusRule.disabled names %s, which is not an alert of this chart: see files/alerts.yaml" $name) -}}
{{- end -}}
{{- end -}}
{{- end }}
