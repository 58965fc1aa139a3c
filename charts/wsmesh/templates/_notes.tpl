{{/* Parts of NOTES.txt. Every line that is indented by two is a command that can be typed as it is. Argument of all: root. */}}

{{/* How clients get in from outside, and from this machine. */}}
{{- define "wsmesh.notes.clients" -}}
{{- $ns := .Release.Namespace -}}
{{- $ws := include "wsmesh.name" (list . "ws-node") -}}
{{- $s := include "wsmesh.wsNode.s" . -}}
{{- $values := .Values.wsNode -}}
{{- $port := int $values.service.port -}}
Clients inside the cluster connect to ws{{ $s }}://{{ $ws }}.{{ $ns }}:{{ $port }}/
{{- if $values.httpRoute.enabled }}
{{- range $values.httpRoute.hostnames }}
From outside, through the Gateway: wss://{{ . }}{{ $values.httpRoute.path }} (ws:// if its listener has no TLS)
{{- else }}
From outside, through the Gateway, with the hosts of its listener. Its address:

  kubectl -n {{ (first $values.httpRoute.parentRefs).namespace | default $ns }} get gateway {{ (first $values.httpRoute.parentRefs).name }}
{{- end }}
{{- end }}
{{- if $values.ingress.enabled }}
{{- range $values.ingress.hosts }}
From outside, through the Ingress: {{ ternary "wss" "ws" (ne (len $values.ingress.tls) 0) }}://{{ . }}{{ $values.ingress.path }}
{{- end }}
{{- end }}
{{- if eq $values.service.type "LoadBalancer" }}
From outside, through the load balancer, once it has an address:

  HOST=$(kubectl -n {{ $ns }} get service {{ $ws }} -o jsonpath='{.status.loadBalancer.ingress[0].ip}{.status.loadBalancer.ingress[0].hostname}')
  echo "ws{{ $s }}://$HOST:{{ $port }}/"
{{- else if eq $values.service.type "NodePort" }}
From outside, through a port of every machine. This finds the internal address of one that runs a ws-node; if you cannot reach that, take
another address of the machine:

{{- $labels := list }}
{{- range $key, $value := fromYaml (include "wsmesh.selector" (list . "ws-node")) }}
{{- $labels = append $labels (printf "%s=%s" $key $value) }}
{{- end }}

  PORT=$(kubectl -n {{ $ns }} get service {{ $ws }} -o jsonpath='{.spec.ports[0].nodePort}')
  HOST=$(kubectl -n {{ $ns }} get pods -l {{ join "," $labels }} -o jsonpath='{.items[0].status.hostIP}')
  echo "ws{{ $s }}://$HOST:$PORT/"
{{- else if not (or $values.httpRoute.enabled $values.ingress.enabled) }}
Nobody gets in from outside yet: set wsNode.httpRoute, wsNode.ingress, or wsNode.service.type (LoadBalancer, NodePort).
{{- end }}
From this machine, in a terminal of its own: ws{{ $s }}://127.0.0.1:9000/

  kubectl -n {{ $ns }} port-forward service/{{ $ws }} 9000:{{ $port }}
{{- end }}

{{/* The Secrets that cert-manager makes, and leaves when their certificates are deleted. */}}
{{- define "wsmesh.notes.certificates" -}}
{{- $root := . -}}
{{- range $component, $values := dict "ws-node" .Values.wsNode "admin" .Values.admin "redis" .Values.redis -}}
{{- if $values.tls.certManager.issuerRef }}{{ include "wsmesh.tlsSecret" (list $root $component $values.tls) }} {{ end -}}
{{- end -}}
{{- end }}

{{/* What a client shows to get in, and how to make one for a trial. */}}
{{- define "wsmesh.notes.token" -}}
{{- $ns := .Release.Namespace -}}
{{- $ws := include "wsmesh.name" (list . "ws-node") -}}
{{- $values := .Values.wsNode -}}
{{- if include "wsmesh.wsNode.hasKey" . -}}
{{- $secret := include "wsmesh.wsNode.keySecret" . -}}
{{- $found := lookup "v1" "Secret" $ns $secret | default dict -}}
{{- $key := get (get $found "data" | default dict) "jwt-key" | b64dec -}}
{{- $isPem := contains "-----BEGIN" $key -}}
Clients show a token (JWT) as ?token=… or in the header Authorization: Bearer …
{{- if not $isPem }}
{{- if and $values.jwt.existingSecret (not $key) }}
If the Secret {{ $secret }} holds a secret (HS256), this makes one for the client 888:
{{- else }}
This makes one for the client 888, valid for an hour:
{{- end }}

  TOKEN=$(kubectl -n {{ $ns }} exec deployment/{{ $ws }} -- /usr/local/bin/ws-node token --id 888)
  echo "$TOKEN"
{{- end }}
{{- if or $isPem (and $values.jwt.existingSecret (not $key)) }}
{{ if $isPem }}The Secret {{ $secret }} holds public keys, so tokens{{ else }}If it holds public keys, tokens{{ end }} come from the holder of the private key:
{{ printf "https://github.com/wsmesh/wsmesh/blob/v%s/charts/wsmesh/README.md#tokens" .Chart.AppVersion }} has an example.
{{- end }}
{{- else if $values.connect }}
{{- if ne ($values.connect.mode | default "instead") "after" -}}
Your backend says who may connect: {{ $values.connect.url }}
{{- end }}
{{- end }}
{{- if $values.settings.jwks_url }}
Clients show a token (JWT) of {{ $values.settings.jwks_url }}, as ?token=… or in the header Authorization: Bearer …
{{- end }}
{{- if $values.tickets.existingSecret }}
Your backend gets one-time tickets for clients (?ticket=…) at http://{{ $ws }}-metrics.{{ $ns }}:9090/api/v1/tickets
{{- end }}
{{- end }}

{{/* The API and dashboard of admin. */}}
{{- define "wsmesh.notes.admin" -}}
{{- $ns := .Release.Namespace -}}
{{- $admin := include "wsmesh.name" (list . "admin") -}}
{{- $s := ternary "s" "" (ne (include "wsmesh.partTls" (dict "root" . "component" "admin" "values" .Values.admin)) "") -}}
Dashboard and API of admin, in a terminal of its own: http{{ $s }}://127.0.0.1:9100/

  kubectl -n {{ $ns }} port-forward service/{{ $admin }} 9100:{{ int .Values.admin.service.port }}

{{- if eq .Values.profile "demo" }}
{{- if not .Values.admin.tokens.existingSecret }}

  curl {{ ternary "-k " "" (eq $s "s") }}http{{ $s }}://127.0.0.1:9100/api/v1/cluster
{{- end }}
{{- else }}

It asks for its token:

  ADMIN_TOKEN=$(kubectl -n {{ $ns }} get secret {{ .Values.admin.token.existingSecret | default $admin }} -o jsonpath='{.data.token}' | base64 -d)
  echo "$ADMIN_TOKEN"
  curl {{ ternary "-k " "" (eq $s "s") }}-H "Authorization: Bearer $ADMIN_TOKEN" http{{ $s }}://127.0.0.1:9100/api/v1/cluster
{{- end }}
{{- end }}
