{{/* Name of a component's resources: RELEASE-COMPONENT, or RELEASE-wsmesh-COMPONENT if the release has another name. It is so short
     that the names of pods fit a label's 63 characters. Argument: list root component. */}}
{{- define "wsmesh.name" -}}
{{- $root := index . 0 -}}
{{- $release := $root.Release.Name -}}
{{- $base := ternary $release (printf "%s-wsmesh" $release) (contains "wsmesh" $release) -}}
{{- printf "%s-%s" ($base | trunc 30 | trimSuffix "-") (index . 1) -}}
{{- end }}

{{/* Labels of selectors, which never change. Argument: list root component. */}}
{{- define "wsmesh.selector" -}}
app.kubernetes.io/name: wsmesh
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of pods. There is no version among them, so an upgrade of only the chart does not restart pods. */}}
{{- define "wsmesh.podLabels" -}}
{{ include "wsmesh.selector" . }}
app.kubernetes.io/part-of: wsmesh
{{- end }}

{{/* All labels. Argument: list root component. */}}
{{- define "wsmesh.labels" -}}
{{- $root := index . 0 -}}
{{ include "wsmesh.selector" . }}
app.kubernetes.io/part-of: wsmesh
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version }}
{{- end }}

{{/* Image of one of our services. Argument: list root service. */}}
{{- define "wsmesh.image" -}}
{{- $root := index . 0 -}}
{{- printf "%swsmesh/%s:%s" $root.Values.image.registry (index . 1) ($root.Values.image.tag | default $root.Chart.AppVersion) -}}
{{- end }}

{{/* Name of the Secret with the Redis password; empty if there is none. */}}
{{- define "wsmesh.redisSecret" -}}
{{- if .Values.redis.auth.enabled -}}
{{- .Values.redis.auth.existingSecret | default (include "wsmesh.name" (list . "redis")) -}}
{{- end -}}
{{- end }}

{{/* URLs of all Redis nodes, comma-separated, with short DNS names that are valid in any namespace. */}}
{{- define "wsmesh.redisUrls" -}}
{{- $name := include "wsmesh.name" (list . "redis") -}}
{{- $urls := list -}}
{{- range $i := until (int .Values.redis.replicas) -}}
{{- $urls = append $urls (printf "redis://%s-%d.%s:6379#redis-%d" $name $i $name $i) -}}
{{- end -}}
{{- $urls = concat $urls .Values.redis.external -}}
{{- if not $urls -}}
{{- fail "no Redis node: set redis.replicas to 1 or more, or list nodes in redis.external" -}}
{{- end -}}
{{- join "," $urls -}}
{{- end }}

{{/* Name of admin's service account; empty if admin does not use the Kubernetes API. */}}
{{- define "wsmesh.adminAccount" -}}
{{- if and .Values.admin.watchRedisPods .Values.redis.replicas -}}
{{- include "wsmesh.name" (list . "admin") -}}
{{- end -}}
{{- end }}

{{/* A generated secret value: the one that the cluster has already, else a new one. Argument: list root secretName key. */}}
{{- define "wsmesh.generated" -}}
{{- $found := lookup "v1" "Secret" (index . 0).Release.Namespace (index . 1) -}}
{{- $old := dig "data" (index . 2) "" ($found | default dict) -}}
{{- $old | default (randAlphaNum 48 | b64enc) -}}
{{- end }}

{{/* Pod-level security: the "restricted" Pod Security Standard. Argument: dict, its serviceAccount (if any) is used. */}}
{{- define "wsmesh.podSecurity" -}}
{{- with .serviceAccount -}}
serviceAccountName: {{ . }}
automountServiceAccountToken: true
{{- else -}}
automountServiceAccountToken: false
{{- end }}
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
{{- end }}

{{/* Container-level security. */}}
{{- define "wsmesh.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop: [ALL]
{{- end }}

{{/* Placement of pods: as the values say, else spread over the machines. Argument: list root component values. */}}
{{- define "wsmesh.placement" -}}
{{- $values := index . 2 -}}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "wsmesh.selector" . | nindent 8 }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
