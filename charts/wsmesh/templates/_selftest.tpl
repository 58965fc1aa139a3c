{{/* Why there is no pod for `helm test`; empty if there is one. Argument: root. */}}
{{- define "wsmesh.testsWhy" -}}
{{- if not .Values.tests.enabled -}}
tests.enabled is false.
{{- else if not (or .Values.tests.token.existingSecret (eq .Values.profile "demo") (include "wsmesh.wsNode.hasKey" .)) -}}
It needs a client's token: put one into a Secret under the key token, and name it in tests.token.existingSecret.
{{- else if and (not .Values.tests.url) (include "wsmesh.wsNode.s" .) (not (include "wsmesh.testsKnowName" .)) -}}
The certificate of wsNode.tls may not be valid for the name of the Service: set tests.url to a URL that it is valid for, and tests.caFile if its authority is not a public one.
{{- end -}}
{{- end }}

{{/* "true" if the certificate of ws-node is valid for the name of its Service. Argument: root. */}}
{{- define "wsmesh.testsKnowName" -}}
{{- $tls := .Values.wsNode.tls -}}
{{- if and $tls.certManager.issuerRef (or (not $tls.dnsNames) (has (include "wsmesh.name" (list . "ws-node")) $tls.dnsNames)) }}true{{ end -}}
{{- end }}

{{/* The file with the authority that signed ws-node's certificate: what the values say, else where cert-manager puts it. Argument: root. */}}
{{- define "wsmesh.testsCaFile" -}}
{{- if .Values.tests.caFile -}}
{{- .Values.tests.caFile -}}
{{- else if and (not .Values.tests.url) (include "wsmesh.testsKnowName" .) -}}
/etc/wsmesh/tls/ca.crt
{{- end -}}
{{- end }}
