{{/* Refuses an autoscaling section that contradicts itself. Argument: dict path values custom; custom is the key of the metric of its own. */}}
{{- define "wsmesh.checkAutoscaling" -}}
{{- $scaling := .values.autoscaling -}}
{{- if $scaling.enabled -}}
{{- if not (kindIs "invalid" .values.replicas) -}}
{{- fail (printf "%s.replicas is set, but with %s.autoscaling the load decides: remove %s.replicas and set %s.autoscaling.minReplicas" .path .path .path .path) -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "%s.autoscaling.minReplicas is above maxReplicas: raise maxReplicas" .path) -}}
{{- end -}}
{{- if not (or $scaling.cpuPercent (get $scaling .custom) $scaling.metrics) -}}
{{- fail (printf "%s.autoscaling has nothing to scale by: set cpuPercent, %s or metrics" .path .custom) -}}
{{- end -}}
{{- if and $scaling.cpuPercent (not (dig "requests" "cpu" "" .values.resources)) -}}
{{- fail (printf "%s.autoscaling.cpuPercent is a share of the CPU that pods request: set %s.resources.requests.cpu" .path .path) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* A HorizontalPodAutoscaler. Argument: dict root component values metric average; the metric of pods is used if there is an average. */}}
{{- define "wsmesh.autoscaler" -}}
{{- $id := list .root .component -}}
{{- $scaling := .values.autoscaling -}}
{{- if $scaling.enabled -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ include "wsmesh.name" $id }}
  labels:
    {{- include "wsmesh.labels" $id | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "wsmesh.name" $id }}
  minReplicas: {{ int $scaling.minReplicas }}
  maxReplicas: {{ int $scaling.maxReplicas }}
  metrics:
    {{- with $scaling.cpuPercent }}
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ int . }}
    {{- end }}
    {{- with .average }}
    - type: Pods
      pods:
        metric:
          name: {{ $.metric }}
        target:
          type: AverageValue
          averageValue: {{ int . | quote }}
    {{- end }}
    {{- with $scaling.metrics }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $scaling.behavior }}
  behavior:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end }}

{{/* The Service of a component's port for operators. Argument: list root component. */}}
{{- define "wsmesh.metricsService" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ include "wsmesh.name" . }}-metrics
  labels:
    {{- include "wsmesh.labels" . | nindent 4 }}
spec:
  selector:
    {{- include "wsmesh.selector" . | nindent 4 }}
  ports:
    - name: ops
      port: 9090
      targetPort: ops
{{- end }}
