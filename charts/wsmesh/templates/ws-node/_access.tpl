{{/* "true" if ws-node verifies tokens with a key in a Secret: not in the demo profile, not if the connect hook alone says who clients are,
     and not if keys are only fetched or the values say so. Argument: root. */}}
{{- define "wsmesh.wsNode.hasKey" -}}
{{- $values := .Values.wsNode -}}
{{- $hook := and $values.connect (ne ($values.connect.mode | default "instead") "after") -}}
{{- if and $values.jwt.enabled (ne .Values.profile "demo") (not $hook) (or $values.jwt.existingSecret (not $values.settings.jwks_url)) -}}
true
{{- end -}}
{{- end }}

{{/* Name of the Secret with that key. Argument: root. */}}
{{- define "wsmesh.wsNode.keySecret" -}}
{{- .Values.wsNode.jwt.existingSecret | default (include "wsmesh.name" (list . "ws-node")) -}}
{{- end }}

{{/* Whether clients speak TLS to ws-node itself: "s" or nothing, as in wss. Argument: root. */}}
{{- define "wsmesh.wsNode.s" -}}
{{- if include "wsmesh.partTls" (dict "root" . "component" "ws-node" "values" .Values.wsNode) }}s{{ end -}}
{{- end }}
