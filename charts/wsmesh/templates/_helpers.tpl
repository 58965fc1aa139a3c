{{/*
Names, labels, images, replicas and what the cluster knows already. Everything here is a small text; pods are in _pod.tpl, whole
resources that several components have are in _resources.tpl. `list root component` means: `.` of the chart, and redis, ws-node, ….
*/}}

{{/* Name of a component's resources: RELEASE-COMPONENT, or RELEASE-wsmesh-COMPONENT if the release has another name. It is so short
     that the names of pods fit a label's 63 characters; what is cut off is told apart by a hash. Argument: list root component. */}}
{{- define "wsmesh.name" -}}
{{- $root := index . 0 -}}
{{- $release := $root.Release.Name -}}
{{- $base := ternary $release (printf "%s-%s" $release $root.Chart.Name) (contains $root.Chart.Name $release) -}}
{{- if gt (len $base) 30 -}}
{{- $base = printf "%s-%s" ($base | trunc 21 | trimSuffix "-") (sha256sum $base | trunc 8) -}}
{{- end -}}
{{- printf "%s-%s" $base (index . 1) -}}
{{- end }}

{{/* Labels of selectors, which never change. Argument: list root component. */}}
{{- define "wsmesh.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ $root.Chart.Name }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of pods. There is no version among them, so an upgrade of only the chart does not restart pods.
     Argument: list root component, and values (optional) with podLabels. */}}
{{- define "wsmesh.podLabels" -}}
{{- $root := index . 0 -}}
{{- $more := merge (dict) (dig "podLabels" dict (ternary (index . (sub (len .) 1)) dict (gt (len .) 2))) $root.Values.commonLabels -}}
{{- include "wsmesh.selector" . }}
app.kubernetes.io/part-of: wsmesh
{{- with omit $more "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/part-of" }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* All labels of a resource. The chart's own win, then those of the resource. Argument: list root component, and more labels (optional). */}}
{{- define "wsmesh.labels" -}}
{{- $root := index . 0 -}}
{{- $more := ternary (index . (sub (len .) 1)) dict (gt (len .) 2) -}}
{{- $own := fromYaml (include "wsmesh.selector" .) -}}
{{- $own = merge $own (dict
  "app.kubernetes.io/part-of" "wsmesh"
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/managed-by" $root.Release.Service
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name ($root.Chart.Version | replace "+" "_"))) -}}
{{- toYaml (merge $own $more $root.Values.commonLabels) }}
{{- end }}

{{/* Name and labels, the metadata of most resources. Argument: list root component. */}}
{{- define "wsmesh.metadata" -}}
name: {{ include "wsmesh.name" . }}
labels:
  {{- include "wsmesh.labels" . | nindent 2 }}
{{- end }}

{{/* Image of one of our services. Argument: list root service. */}}
{{- define "wsmesh.image" -}}
{{- $root := index . 0 -}}
{{- $service := index . 1 -}}
{{- $registry := $root.Values.global.imageRegistry | default $root.Values.image.registry | trimSuffix "/" -}}
{{- $tag := $root.Values.image.tag | default $root.Chart.AppVersion -}}
{{- $digest := get $root.Values.image.digests $service -}}
{{- if eq $tag "latest" -}}
{{- fail "image.tag: `latest` is another image tomorrow, so pods of one release would differ: write a version, or leave it empty for the chart's own" -}}
{{- end -}}
{{- printf "%swsmesh/%s:%s" (ternary (printf "%s/" $registry) "" (ne $registry "")) $service $tag -}}
{{- with $digest }}@{{ . }}{{ end -}}
{{- end }}

{{/* Image that is not ours. Argument: list root key image; the key is for messages. */}}
{{- define "wsmesh.foreignImage" -}}
{{- $root := index . 0 -}}
{{- $key := index . 1 -}}
{{- $image := index . 2 -}}
{{- $last := $image | splitList "/" | last -}}
{{- $name := regexReplaceAll ":[^:/]*$" $image "" -}}
{{- if not (contains "@sha256:" $image) -}}
{{- if or (not (contains ":" $last)) (hasSuffix ":latest" $last) -}}
{{- fail (printf "%s: %s is another image tomorrow: name a version (%s:VERSION) or a digest (%s@sha256:…)" $key $image $name $name) -}}
{{- end -}}
{{- end -}}
{{- $registry := $root.Values.global.imageRegistry | trimSuffix "/" -}}
{{- $hasRegistry := and (contains "/" $image) (regexMatch "[.:]|^localhost$" ($image | splitList "/" | first)) -}}
{{- if and $registry (not $hasRegistry) }}{{ $registry }}/{{ end -}}
{{- $image -}}
{{- end }}

{{/* Secrets with registry credentials: those of the values and those of a parent chart, which may be names or {name: …}. */}}
{{- define "wsmesh.pullSecrets" -}}
{{- $names := list -}}
{{- range concat .Values.global.imagePullSecrets .Values.image.pullSecrets -}}
{{- $names = append $names (dict "name" (ternary . (get (ternary dict . (kindIs "string" .)) "name") (kindIs "string" .))) -}}
{{- end -}}
{{- with $names | uniq -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* "true" if templates can read the cluster: helm install and upgrade can, helm template and --dry-run=client cannot. A real list
     has a kind, even if nothing is in it. */}}
{{- define "wsmesh.canLookUp" -}}
{{- if hasKey (lookup "v1" "Secret" .Release.Namespace "" | default dict) "kind" }}true{{ end -}}
{{- end }}

{{/* "true" if something else decides how many pods there are. Argument: values of the component. */}}
{{- define "wsmesh.autoscaled" -}}
{{- if or (dig "autoscaling" "enabled" false .) (dig "keda" "enabled" false .) }}true{{ end -}}
{{- end }}

{{/* How many pods: what the values say, else what runs now, else the default; nothing if an autoscaler decides and nothing runs yet.
     Without `what runs now` an upgrade would undo what kubectl scale or an autoscaler did.
     Argument: dict root component values kind default. */}}
{{- define "wsmesh.replicas" -}}
{{- $autoscaled := include "wsmesh.autoscaled" .values -}}
{{- $name := include "wsmesh.name" (list .root .component) -}}
{{- $running := lookup "apps/v1" .kind .root.Release.Namespace $name | default dict -}}
{{- if and (not $autoscaled) (not (kindIs "invalid" .values.replicas)) -}}
replicas: {{ int .values.replicas }}
{{- else if hasKey (get $running "spec" | default dict) "replicas" -}}
replicas: {{ int $running.spec.replicas }}
{{- else if not $autoscaled -}}
replicas: {{ .default }}
{{- end -}}
{{- end }}

{{/* NAMESPACE/RELEASE, and the alias if a parent chart has one for this chart: what makes a cluster of servers distinct. */}}
{{- define "wsmesh.identity" -}}
{{- printf "%s/%s" .Release.Namespace .Release.Name -}}
{{- if ne .Chart.Name "wsmesh" }}-{{ .Chart.Name }}{{ end -}}
{{- end }}

{{/* "true" if this release has Redis pods of its own. */}}
{{- define "wsmesh.redisPods" -}}
{{- if or (kindIs "invalid" .Values.redis.replicas) (gt (int .Values.redis.replicas) 0) }}true{{ end -}}
{{- end }}

{{/* Name of the Secret with the Redis password; empty if there is none. */}}
{{- define "wsmesh.redisSecret" -}}
{{- if .Values.redis.auth.enabled -}}
{{- .Values.redis.auth.existingSecret | default (include "wsmesh.name" (list . "redis")) -}}
{{- end -}}
{{- end }}

{{/* Name of the Secret with the TLS files of a component (tls.crt, tls.key, and ca.crt if the authority is not a public one); empty
     without TLS. Argument: list root component tls, where tls are the values existingSecret and certManager. */}}
{{- define "wsmesh.tlsSecret" -}}
{{- $tls := index . 2 -}}
{{- if and $tls.existingSecret $tls.certManager.issuerRef -}}
{{- fail (printf "%s: tls.existingSecret and tls.certManager.issuerRef exclude each other: a certificate comes from one of them" (index . 1)) -}}
{{- end -}}
{{- if and $tls.certManager.issuerRef (not $tls.certManager.issuerRef.name) -}}
{{- fail (printf "%s: tls.certManager.issuerRef has no name: name the issuer that makes the certificate, for example {name: my-ca, kind: Issuer}" (index . 1)) -}}
{{- end -}}
{{- if $tls.existingSecret }}{{ $tls.existingSecret }}{{ else if $tls.certManager.issuerRef }}{{ include "wsmesh.name" . }}-tls{{ end -}}
{{- end }}

{{/* "true" if the Redis pods of this release speak TLS. */}}
{{- define "wsmesh.redisTls" -}}
{{- if include "wsmesh.tlsSecret" (list . "redis" .Values.redis.tls) }}true{{ end -}}
{{- end }}

{{/* URL of the headless Service whose pods are the first Redis nodes. It does not change with the number of pods, so adding a node
     restarts no server. */}}
{{- define "wsmesh.redisService" -}}
{{- $tls := include "wsmesh.redisTls" . -}}
{{- ternary "rediss" "redis" (ne $tls "") }}://{{ include "wsmesh.name" (list . "redis") }}:6379
{{- if $tls }}?ca=/etc/wsmesh/redis-ca/ca.crt{{ end }}#redis
{{- end }}

{{/* Name of a component's service account; empty if its pods use none. Argument: list root component values. */}}
{{- define "wsmesh.account" -}}
{{- $account := (index . 2).serviceAccount -}}
{{- if $account.name }}{{ $account.name }}{{ else if $account.create }}{{ include "wsmesh.name" . }}{{ end -}}
{{- end }}
