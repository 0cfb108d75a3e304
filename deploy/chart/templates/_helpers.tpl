{{- define "runbooks.image" -}}
{{- $repository := required "image.repository: name where you keep the image that the Dockerfile builds" .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ $repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "runbooks.labels" -}}
app.kubernetes.io/name: runbooks
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* Of one component: (dict "root" $ "component" "worker"). Never changes, since a Deployment's selector can't. */ -}}
{{- define "runbooks.selector" -}}
app.kubernetes.io/name: runbooks
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "runbooks.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "runbooks.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "runbooks.environment" -}}
- {name: RUNBOOKS_CONFIG, value: /etc/runbooks/runbooks.toml}
- name: RUNBOOKS_TEMPORAL__ADDRESS
  value: {{ required "temporal.address: host:port of Temporal's frontend" .Values.temporal.address | quote }}
- {name: RUNBOOKS_TEMPORAL__NAMESPACE, value: {{ .Values.temporal.namespace | quote }}}
- {name: RUNBOOKS_TEMPORAL__TASK_QUEUE, value: {{ .Values.temporal.taskQueue | quote }}}
{{- with .Values.temporal.uiUrl }}
- {name: RUNBOOKS_TEMPORAL__UI_URL, value: {{ . | quote }}}
{{- end }}
{{- range $name, $value := .Values.environment }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- /* Of one process: (dict "root" $ "secret" "its Secret" "keys" (list …)). */ -}}
{{- define "runbooks.volumes" -}}
- name: settings
  configMap: {name: {{ .root.Release.Name }}-settings}
- name: tmp
  emptyDir: {}
- name: secrets
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
    {{- range .keys }}
    - {key: {{ . }}, path: {{ . }}}
    {{- end }}
{{- end }}

{{- define "runbooks.mounts" -}}
- {name: settings, mountPath: /etc/runbooks, readOnly: true}
- {name: secrets, mountPath: /run/secrets, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "runbooks.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- /* A pod that is not beside one of its own: (dict "root" $ "component" "worker"). */ -}}
{{- define "runbooks.spread" -}}
topologySpreadConstraints:
- maxSkew: 1
  topologyKey: kubernetes.io/hostname
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- include "runbooks.selector" . | nindent 6 }}
{{- end }}
