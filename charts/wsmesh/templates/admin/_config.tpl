{{/* admin's configuration file (TOML); empty if the values say nothing. Argument: root. */}}
{{- define "wsmesh.admin.config" -}}
{{- include "wsmesh.toml.file" (dict "settings" .Values.admin.settings "text" .Values.admin.config "tables" list) -}}
{{- end }}

{{/* The settings of admin, those in the text among them, as JSON. Argument: root. */}}
{{- define "wsmesh.admin.allSettings" -}}
{{- include "wsmesh.toml.settings" (dict "settings" .Values.admin.settings "text" .Values.admin.config) -}}
{{- end }}

{{/* "true" if admin calls the Kubernetes API: to follow the Redis pods, or with an account of the user's own. Argument: root. */}}
{{- define "wsmesh.admin.callsApi" -}}
{{- if or .Values.admin.watchRedisPods .Values.admin.serviceAccount.name }}true{{ end -}}
{{- end }}

{{/* Refuses values of admin that contradict each other. Argument: root. */}}
{{- define "wsmesh.admin.check" -}}
{{- $settings := include "wsmesh.admin.allSettings" . | fromJson -}}
{{- $reviews := $settings.kubernetes_token_review -}}
{{- range .Values.admin.extraEnv -}}
{{- if and (eq .name "WSMESH_KUBERNETES_TOKEN_REVIEW") (ne (.value | default "") "false") }}{{ $reviews = true }}{{ end -}}
{{- end -}}
{{- if and $reviews (not (include "wsmesh.admin.callsApi" .)) -}}
{{- fail "admin asks the Kubernetes API whose tokens its callers have (kubernetes_token_review), but its pods have no service account: name one in admin.serviceAccount.name that is bound to system:auth-delegator" -}}
{{- end -}}
{{- include "wsmesh.checkMemory" (dict "key" "admin" "resources" .Values.admin.resources
  "parts" (list (dict "what" "the replay window may hold" "bytes" ($settings.replay_bytes | default 67108864)))
  "settings" "admin.settings.replay_bytes") -}}
{{- end }}
