{{/* Refuses values of ws-node that contradict each other, each with a sentence that says what to write. Argument: root. */}}
{{- define "wsmesh.wsNode.check" -}}
{{- include "wsmesh.wsNode.checkScaling" . -}}
{{- include "wsmesh.wsNode.checkService" . -}}
{{- include "wsmesh.wsNode.checkEntry" . -}}
{{- include "wsmesh.wsNode.checkAccess" . -}}
{{- include "wsmesh.wsNode.checkDrain" . -}}
{{- include "wsmesh.wsNode.checkMemory" . -}}
{{- include "wsmesh.wsNode.checkRules" .Values.wsNode.rules -}}
{{- include "wsmesh.wsNode.checkTables" .Values.wsNode -}}
{{- end }}

{{/* How many there are is decided in one place. */}}
{{- define "wsmesh.wsNode.checkScaling" -}}
{{- $values := .Values.wsNode -}}
{{- if and $values.autoscaling.enabled $values.keda.enabled -}}
{{- fail "wsNode.autoscaling and wsNode.keda are both enabled, and KEDA makes a HorizontalPodAutoscaler of its own: enable one of them" -}}
{{- end -}}
{{- include "wsmesh.checkAutoscaling" (dict "path" "wsNode" "values" $values "custom" "connections") -}}
{{- if $values.keda.enabled -}}
{{- if and $values.keda.cpuPercent (not (dig "requests" "cpu" "" ($values.resources | default dict))) -}}
{{- fail "wsNode.keda.cpuPercent is a share of the CPU that pods request: set wsNode.resources.requests.cpu" -}}
{{- end -}}
{{- if not (kindIs "invalid" $values.replicas) -}}
{{- fail "wsNode.replicas is set, but with wsNode.keda the load decides: remove wsNode.replicas and set wsNode.keda.minReplicas" -}}
{{- end -}}
{{- if gt (int $values.keda.minReplicas) (int $values.keda.maxReplicas) -}}
{{- fail "wsNode.keda.minReplicas is above maxReplicas: raise maxReplicas" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The fields of a Service that have a meaning only with some types. */}}
{{- define "wsmesh.wsNode.checkService" -}}
{{- $service := .Values.wsNode.service -}}
{{- if eq $service.type "ClusterIP" -}}
{{- if $service.externalTrafficPolicy -}}
{{- fail "wsNode.service.externalTrafficPolicy is set, but the type is ClusterIP, which nobody reaches from outside: set wsNode.service.type to NodePort or LoadBalancer" -}}
{{- end -}}
{{- end -}}
{{- if ne $service.type "LoadBalancer" -}}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" -}}
{{- if get $service $key -}}
{{- fail (printf "wsNode.service.%s is set, but the type is %s: set wsNode.service.type to LoadBalancer" $key $service.type) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* How clients get in, and by TLS or not. */}}
{{- define "wsmesh.wsNode.checkEntry" -}}
{{- $values := .Values.wsNode -}}
{{- if and $values.httpRoute.enabled (not $values.httpRoute.parentRefs) -}}
{{- fail "wsNode.httpRoute.parentRefs is empty: name the Gateway that takes the clients, for example [{name: public, namespace: gateways}]" -}}
{{- end -}}
{{- if and $values.ingress.enabled (not $values.ingress.hosts) -}}
{{- fail "wsNode.ingress.hosts is empty: name the host that clients connect to, for example [ws.example.org]" -}}
{{- end -}}
{{- if and $values.tls.dnsNames (not $values.tls.certManager.issuerRef) -}}
{{- fail "wsNode.tls.dnsNames is set, but nothing makes a certificate for them: set wsNode.tls.certManager.issuerRef" -}}
{{- end -}}
{{- end }}

{{/* How clients prove who they are. */}}
{{- define "wsmesh.wsNode.checkAccess" -}}
{{- $values := .Values.wsNode -}}
{{- $settings := include "wsmesh.wsNode.allSettings" . | fromJson -}}
{{- $demo := eq .Values.profile "demo" -}}
{{- if and $demo $values.jwt.existingSecret -}}
{{- fail "wsNode.jwt.existingSecret is set, but the demo profile lets everyone in: set profile to production, or remove it" -}}
{{- end -}}
{{- if not $values.jwt.enabled -}}
{{- if $values.jwt.existingSecret -}}
{{- fail "wsNode.jwt.existingSecret is set, but wsNode.jwt.enabled is false: set that to true, or remove it" -}}
{{- end -}}
{{- if not (or $demo $values.tickets.existingSecret $settings.jwks_url $values.connect) -}}
{{- fail "wsNode.jwt.enabled is false, and nothing else says who clients are: set wsNode.tickets.existingSecret, wsNode.settings.jwks_url or wsNode.connect" -}}
{{- end -}}
{{- end -}}
{{- if and $values.connect (ne ($values.connect.mode | default "instead") "after") -}}
{{- if or $values.jwt.existingSecret $values.tickets.existingSecret $settings.jwks_url -}}
{{- fail "wsNode.connect takes the place of tokens and tickets: set wsNode.connect.mode to after, or remove wsNode.jwt.existingSecret, wsNode.tickets.existingSecret and wsNode.settings.jwks_url" -}}
{{- end -}}
{{- range $key := list "auth_by_message" "auth_cookie" -}}
{{- if get $settings $key -}}
{{- fail (printf "wsNode.settings.%s is about tokens, and wsNode.connect takes their place: set wsNode.connect.mode to after, or remove it" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $settings.jwks_url (not (or $settings.jwt_audience $settings.jwt_issuer)) -}}
{{- fail "wsNode.settings.jwks_url needs jwt_audience or jwt_issuer beside it, because others use the same keys" -}}
{{- end -}}
{{- if and $settings.auth_cookie (not $settings.allowed_origins) -}}
{{- fail "wsNode.settings.auth_cookie needs allowed_origins beside it: otherwise any page could connect in the name of its visitor" -}}
{{- end -}}
{{- range $header := $values.connect.headers -}}
{{- if and (eq (lower $header) "cookie") (not $settings.allowed_origins) (not (has "origin" $values.connect.headers)) -}}
{{- fail "wsNode.connect.headers shows cookies to the hook: set wsNode.settings.allowed_origins, or show it origin, too, and let it check that" -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A shutdown ends with the grace period, whatever the drain has left. 15 s is the default of the service. */}}
{{- define "wsmesh.wsNode.checkDrain" -}}
{{- $time := (include "wsmesh.wsNode.allSettings" . | fromJson).drain_time | default "15s" -}}
{{- if gt (include "wsmesh.seconds" $time | float64) (float64 .Values.drain.shutdownGraceSeconds) -}}
{{- fail (printf "wsNode.settings.drain_time is %s, but a ws-node ends after drain.shutdownGraceSeconds, %d s, and cuts off the clients that are left: raise that, or lower drain_time" $time (int .Values.drain.shutdownGraceSeconds)) -}}
{{- end -}}
{{- end }}

{{/* The memory of a ws-node: outboxes, the replay window, and 4.5 KiB per connection. The defaults are those of the service. */}}
{{- define "wsmesh.wsNode.checkMemory" -}}
{{- $settings := include "wsmesh.wsNode.allSettings" . | fromJson -}}
{{- $connections := int64 ($settings.max_connections | default 50000) -}}
{{- include "wsmesh.checkMemory" (dict "key" "wsNode" "resources" .Values.wsNode.resources "parts" (list
  (dict "what" "outboxes may hold" "bytes" ($settings.outbox_total_bytes | default 268435456))
  (dict "what" "the replay window" "bytes" ($settings.replay_bytes | default 67108864))
  (dict "what" (printf "%d connections" $connections) "bytes" (mul $connections 4608)))
  "settings" "outbox_total_bytes, replay_bytes or max_connections in wsNode.settings") -}}
{{- end }}

{{/* [[rules]], as the service checks them at its start. Argument: the rules. */}}
{{- define "wsmesh.wsNode.checkRules" -}}
{{- $events := list -}}
{{- range $rule := . -}}
{{- $about := printf "wsNode.rules: the rule for %q" $rule.event -}}
{{- if has $rule.event $events -}}
{{- fail (printf "wsNode.rules: two rules forward %q: remove one" $rule.event) -}}
{{- end -}}
{{- $events = append $events $rule.event -}}
{{- if hasPrefix "wsmesh." $rule.event -}}
{{- fail (printf "wsNode.rules: %q is reserved for the servers: choose another event" $rule.event) -}}
{{- end -}}
{{- if has $rule.event (list "authenticate" "refreshToken") -}}
{{- fail (printf "wsNode.rules: %q carries tokens of clients, which must not leave ws-node: choose another event" $rule.event) -}}
{{- end -}}
{{- include "wsmesh.wsNode.checkWay" (dict "about" $about "entry" $rule) -}}
{{- if and $rule.url (eq ($rule.reply | default "relay") "direct") -}}
{{- fail (printf "%s: a backend cannot reply \"direct\": remove reply" $about) -}}
{{- end -}}
{{- if and $rule.url (eq ($rule.pick | default "least-busy") "client") -}}
{{- fail (printf "%s: pick is only for a service: remove it" $about) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* Where an entry's events go: to a service or to a URL, with keys that fit. Argument: dict about entry. */}}
{{- define "wsmesh.wsNode.checkWay" -}}
{{- $entry := .entry -}}
{{- if and $entry.service $entry.url -}}
{{- fail (printf "%s has a service and a url: remove one" .about) -}}
{{- end -}}
{{- if not (or $entry.service $entry.url) -}}
{{- fail (printf "%s has neither a service nor a url: write one" .about) -}}
{{- end -}}
{{- if $entry.service -}}
{{- range $key := list "ordered" "idempotent" "max_in_flight" "max_reply_bytes" "signing_key_file" "signing_key_secret" "bearer_token_file" "bearer_token_secret" "ca_file" "ca_secret" "breaker_failures" "breaker_open_ms" -}}
{{- if hasKey $entry $key -}}
{{- fail (printf "%s: %s is only for a url: remove it" $.about $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- include "wsmesh.wsNode.checkFiles" . -}}
{{- end }}

{{/* A file and a Secret for the same thing. Argument: dict about entry. */}}
{{- define "wsmesh.wsNode.checkFiles" -}}
{{- $entry := .entry -}}
{{- range $key := list "signing_key" "bearer_token" "ca" -}}
{{- if and (get $entry (printf "%s_file" $key)) (get $entry (printf "%s_secret" $key)) -}}
{{- fail (printf "%s: %s_file and %s_secret are both there: remove one" $.about $key $key) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* [[watch]], [[namespaces]], [[delivery]], [connect]. Argument: ws-node's values. */}}
{{- define "wsmesh.wsNode.checkTables" -}}
{{- if .connect -}}
{{- if not .connect.url -}}
{{- fail "wsNode.connect has no url: name the backend that says who may connect" -}}
{{- end -}}
{{- include "wsmesh.wsNode.checkFiles" (dict "about" "wsNode.connect" "entry" .connect) -}}
{{- if regexMatch "(?m)^[ \\t]*\\[connect\\]" .config -}}
{{- fail "wsNode.connect and a table [connect] in wsNode.config are both there: remove one of them" -}}
{{- end -}}
{{- end -}}
{{- range $i, $watch := .watch -}}
{{- $about := printf "wsNode.watch[%d]" $i -}}
{{- include "wsmesh.wsNode.checkWay" (dict "about" $about "entry" $watch) -}}
{{- if and $watch.service $watch.timeout_ms -}}
{{- fail (printf "%s: timeout_ms is only for a url: remove it" $about) -}}
{{- end -}}
{{- if and $watch.namespaces (not (or (has "joined" $watch.events) (has "left" $watch.events))) -}}
{{- fail (printf "%s: namespaces is for the events joined and left: add one of them, or remove it" $about) -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range $namespace := .namespaces -}}
{{- if has $namespace.name $names -}}
{{- fail (printf "wsNode.namespaces: the namespace %q is there twice: write one entry for it" $namespace.name) -}}
{{- end -}}
{{- $names = append $names $namespace.name -}}
{{- end -}}
{{- $events := list -}}
{{- range $delivery := .delivery -}}
{{- if has $delivery.event $events -}}
{{- fail (printf "wsNode.delivery: two entries are for %q: remove one" $delivery.event) -}}
{{- end -}}
{{- $events = append $events $delivery.event -}}
{{- if and $delivery.key (ne $delivery.policy "latest") -}}
{{- fail (printf "wsNode.delivery: the entry for %q has a key, which only \"latest\" uses: remove the key" $delivery.event) -}}
{{- end -}}
{{- end -}}
{{- end }}
