{{/* Whole resources that several components have. Each file of a component calls one of them. */}}

{{/* A config file given in the values. Argument: dict root component config. */}}
{{- define "wsmesh.configMap" -}}
{{- if .config -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "wsmesh.metadata" (list .root .component) | nindent 2 }}
data:
  config.toml: |
    {{- .config | nindent 4 }}
{{- end -}}
{{- end }}

{{/* A Service for clients. Argument: dict root component values key appProtocol; the key is that of the values, for messages. */}}
{{- define "wsmesh.service" -}}
{{- $service := .values.service -}}
{{- if and $service.nodePort (eq $service.type "ClusterIP") -}}
{{- fail (printf "%s.service.nodePort needs type NodePort or LoadBalancer: a ClusterIP Service has no port on the machines" .key) -}}
{{- end -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "wsmesh.metadata" (list .root .component) | nindent 2 }}
  {{- with $service.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  type: {{ $service.type }}
  {{- with $service.externalTrafficPolicy }}
  externalTrafficPolicy: {{ . }}
  {{- end }}
  {{- with $service.loadBalancerClass }}
  loadBalancerClass: {{ . }}
  {{- end }}
  {{- with $service.loadBalancerSourceRanges }}
  loadBalancerSourceRanges:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  selector:
    {{- include "wsmesh.selector" (list .root .component) | nindent 4 }}
  ports:
    - name: http
      port: {{ int $service.port }}
      targetPort: http
      appProtocol: {{ .appProtocol }}
      {{- with $service.nodePort }}
      nodePort: {{ int . }}
      {{- end }}
{{- end }}

{{/* At most one pod of a component may be evicted at a time. A pod that is not ready serves nobody, so it may always be evicted: a
     component that is down must not keep a machine from being emptied. Argument: list root component. */}}
{{- define "wsmesh.pdb" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "wsmesh.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "wsmesh.selector" . | nindent 6 }}
{{- end }}

{{/* A Secret with one generated value. Argument: dict root component key setting. */}}
{{- define "wsmesh.secret" -}}
{{- $name := include "wsmesh.name" (list .root .component) -}}
apiVersion: v1
kind: Secret
metadata:
  {{- include "wsmesh.metadata" (list .root .component) | nindent 2 }}
type: Opaque
data:
  {{ .key }}: {{ include "wsmesh.generated" (list .root $name .key .setting) }}
{{- end }}

{{/* A service account of a component's own, if the values want one. Argument: dict root component values. */}}
{{- define "wsmesh.serviceAccount" -}}
{{- if and .values.serviceAccount.create (not .values.serviceAccount.name) -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "wsmesh.metadata" (list .root .component) | nindent 2 }}
  {{- with .values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}
{{- end }}

{{/* A certificate by cert-manager, if the values want one. Argument: dict root component tls dnsNames. */}}
{{- define "wsmesh.certificate" -}}
{{- if .tls.certManager.issuerRef -}}
apiVersion: cert-manager.io/v1
kind: Certificate
metadata:
  {{- include "wsmesh.metadata" (list .root .component) | nindent 2 }}
spec:
  secretName: {{ include "wsmesh.tlsSecret" (list .root .component .tls) }}
  issuerRef:
    {{- toYaml .tls.certManager.issuerRef | nindent 4 }}
  {{- with .tls.certManager.duration }}
  duration: {{ . }}
  {{- end }}
  privateKey:
    rotationPolicy: Always
  usages: [server auth, client auth]
  dnsNames:
    {{- toYaml .dnsNames | nindent 4 }}
{{- end -}}
{{- end }}

{{/* Who may reach a component, and, if wanted, what it may reach. Argument: dict root component ingress egress, lists of rules. Every
     service may always reach DNS, the Redis nodes and the collector of traces. */}}
{{- define "wsmesh.networkPolicy" -}}
{{- if .root.Values.networkPolicy.enabled -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "wsmesh.metadata" (list .root .component) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "wsmesh.selector" (list .root .component) | nindent 6 }}
  policyTypes:
    - Ingress
    {{- if .root.Values.networkPolicy.egress.enabled }}
    - Egress
    {{- end }}
  ingress:
    {{- toYaml .ingress | nindent 4 }}
  {{- if .root.Values.networkPolicy.egress.enabled }}
  egress:
    {{- toYaml .egress | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end }}

{{/* The rule for a port of pods. Argument: dict port from; an empty `from` is everyone. */}}
{{- define "wsmesh.allow" -}}
- ports:
    - port: {{ .port }}
  {{- with .from }}
  from:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* Port of a URL (http, https). Argument: the URL. */}}
{{- define "wsmesh.urlPort" -}}
{{- $host := regexReplaceAll "^https?://([^@/]*@)?|[?#/].*$" . "" -}}
{{- regexFind ":[0-9]+$" $host | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https:" .)) -}}
{{- end }}

{{/* What every service may reach, as a list of rules. Argument: root. */}}
{{- define "wsmesh.serviceEgress" -}}
- ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- if include "wsmesh.redisPods" . }}
- to:
    - podSelector:
        matchLabels:
          {{- include "wsmesh.selector" (list . "redis") | nindent 10 }}
  ports:
    - port: 6379
{{- end }}
{{- range .Values.redis.external }}
{{- $host := regexReplaceAll "^rediss?://([^@/]*@)?|[?#/].*$" . "" }}
- ports:
    - port: {{ regexFind ":[0-9]+$" $host | trimPrefix ":" | default "6379" }}
{{- end }}
{{- if .Values.otel.endpoint }}
- ports:
    - port: {{ regexFind ":[0-9]+" (regexReplaceAll "^https?://" .Values.otel.endpoint "") | trimPrefix ":" | default (ternary "443" "80" (hasPrefix "https:" .Values.otel.endpoint)) }}
{{- else if .Values.jaeger.enabled }}
- to:
    - podSelector:
        matchLabels:
          {{- include "wsmesh.selector" (list . "jaeger") | nindent 10 }}
  ports:
    - port: 4318
{{- end }}
{{- with .Values.networkPolicy.egress.extra }}
{{ toYaml . }}
{{- end }}
{{- end }}
