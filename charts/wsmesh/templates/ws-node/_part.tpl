{{/* What the pods of ws-node and the pod of `helm test` have in common: the same settings, files and Secrets. */}}

{{/* Secrets with keys that ws-node reads, for "wsmesh.deployment". Argument: root. */}}
{{- define "wsmesh.wsNode.secrets" -}}
{{- $secrets := list -}}
{{- if include "wsmesh.wsNode.hasKey" . -}}
{{- $secrets = append $secrets (dict "name" "secret" "secret" (include "wsmesh.wsNode.keySecret" .) "key" "jwt-key" "env" "WSMESH_JWT_KEY_FILE") -}}
{{- end -}}
{{- with .Values.wsNode.tickets.existingSecret -}}
{{- $secrets = append $secrets (dict "name" "tickets" "secret" . "key" "ticket-key" "env" "WSMESH_TICKET_KEY_FILE") -}}
{{- end -}}
{{- toYaml $secrets -}}
{{- end }}

{{/* Variables of ws-nodes beside those of every service: the playground's way to traces. Argument: root. */}}
{{- define "wsmesh.wsNode.env" -}}
{{- $env := dict -}}
{{- with .Values.jaeger.url -}}
{{- $_ := set $env "WSMESH_PLAYGROUND_TRACES_URL" . -}}
{{- if not (hasKey (include "wsmesh.wsNode.allSettings" $ | fromJson) "trust_client_traces") -}}
{{- $_ := set $env "WSMESH_TRUST_CLIENT_TRACES" "true" -}}
{{- end -}}
{{- end -}}
{{- toYaml $env -}}
{{- end }}

{{/* ws-node's values, and among its volumes the Secrets that rules, the connect hook and watches name. Argument: root. */}}
{{- define "wsmesh.wsNode.values" -}}
{{- $volumes := list -}}
{{- $mounts := list -}}
{{- range include "wsmesh.wsNode.entrySecrets" . | splitList "," | compact -}}
{{- $volume := printf "backend-%s" (sha256sum . | trunc 10) -}}
{{- $volumes = append $volumes (dict "name" $volume "secret" (dict "secretName" . "defaultMode" 288)) -}}
{{- $mounts = append $mounts (dict "name" $volume "mountPath" (printf "/etc/wsmesh/backends/%s" .) "readOnly" true) -}}
{{- end -}}
{{- $more := dict "extraVolumes" (concat $volumes .Values.wsNode.extraVolumes) "extraVolumeMounts" (concat $mounts .Values.wsNode.extraVolumeMounts) -}}
{{- toJson (merge $more .Values.wsNode) -}}
{{- end }}

{{/* Ports of the URLs that the values of ws-node name, comma-separated, each once. Argument: root. */}}
{{- define "wsmesh.wsNode.urlPorts" -}}
{{- $values := .Values.wsNode -}}
{{- $ports := list -}}
{{- range $entry := concat $values.rules $values.watch (list $values.connect (dict "url" (include "wsmesh.wsNode.allSettings" . | fromJson).jwks_url)) -}}
{{- with $entry.url -}}
{{- $ports = append $ports (include "wsmesh.urlPort" .) -}}
{{- end -}}
{{- end -}}
{{- $ports | uniq | sortAlpha | join "," -}}
{{- end }}
