{{/*
What a release that runs keeps: who its servers meet, and its secrets. Helm reads the cluster for that (lookup); where it cannot, the
values alone count.
*/}}

{{/* A variable of the ws-nodes that run; empty if none run. Argument: list root name. */}}
{{- define "wsmesh.runningEnv" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $value := "" -}}
{{- $running := lookup "apps/v1" "Deployment" $root.Release.Namespace (include "wsmesh.name" (list $root "ws-node")) | default dict -}}
{{- range $container := dig "spec" "template" "spec" "containers" list $running -}}
{{- range $container.env -}}
{{- if eq .name $name }}{{ $value = .value | default "" }}{{ end -}}
{{- end -}}
{{- end -}}
{{- $value -}}
{{- end }}

{{/* Prefix of the Redis channels. Servers with another one are not met, so a running release keeps its own across upgrades. */}}
{{- define "wsmesh.prefix" -}}
{{- .Values.prefix | default (include "wsmesh.runningEnv" (list . "WSMESH_PREFIX")) | default (printf "%s:" (include "wsmesh.identity" .)) -}}
{{- end }}

{{/* Name of the cluster of servers. Servers of two names under one prefix do not run beside each other, so an upgrade keeps it. */}}
{{- define "wsmesh.clusterId" -}}
{{- $running := include "wsmesh.runningEnv" (list . "WSMESH_CLUSTER_ID") -}}
{{- if and $running .Values.clusterId (ne $running .Values.clusterId) -}}
{{- fail (printf "clusterId: this release runs as %q, and servers under the name %q would end when they meet it, so the upgrade would never finish: leave clusterId empty, which keeps the name, or uninstall the release first" $running .Values.clusterId) -}}
{{- end -}}
{{- .Values.clusterId | default $running | default (include "wsmesh.identity" .) -}}
{{- end }}

{{/* A generated secret value: the one that the cluster has already, else a new one. Where the cluster cannot be read, each rendering
     would give another value and applying it would lock out what runs, so that fails.
     Argument: list root secretName key setting; the setting is for the message. */}}
{{- define "wsmesh.generated" -}}
{{- $root := index . 0 -}}
{{- if not (include "wsmesh.canLookUp" $root) -}}
{{- fail (printf "%s: this run of Helm cannot read the cluster (helm template, --dry-run=client, GitOps), so a generated secret would differ with every rendering: create a Secret with the key `%s` and name it in %s (to only look at the result: --dry-run=server)" (index . 3) (index . 2) (index . 3)) -}}
{{- end -}}
{{- $found := lookup "v1" "Secret" $root.Release.Namespace (index . 1) | default dict -}}
{{- get (get $found "data" | default dict) (index . 2) | default (randAlphaNum 48 | b64enc) -}}
{{- end }}

{{/* Refuses to replace the Secret of this release by a named one with another value: pods of before and after the upgrade would not let
     each other in. Argument: dict root component key setting existing. */}}
{{- define "wsmesh.checkTakenOver" -}}
{{- $namespace := .root.Release.Namespace -}}
{{- $name := include "wsmesh.name" (list .root .component) -}}
{{- if and .existing (ne .existing $name) -}}
{{- $own := lookup "v1" "Secret" $namespace $name | default dict -}}
{{- $named := lookup "v1" "Secret" $namespace .existing | default dict -}}
{{- $before := dig "data" .key "" $own -}}
{{- $after := dig "data" .key "" $named -}}
{{- if and $before $after (ne $before $after) -}}
{{- $value := printf "$(kubectl -n %s get secret %s -o jsonpath='{.data.%s}')" $namespace $name .key -}}
{{- fail (printf "%s: the Secret %s has another `%s` than %s, which this release uses now, so what runs and what is new would not let each other in. Copy it first, and change it after the upgrade: kubectl -n %s patch secret %s -p '{\"data\":{\"%s\":\"'\"%s\"'\"}}'" .setting .existing .key $name $namespace .existing .key $value) -}}
{{- end -}}
{{- end -}}
{{- end }}
