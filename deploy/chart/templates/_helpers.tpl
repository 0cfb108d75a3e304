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

{{- /* A Deployment without an account in the cluster, and its budget: (dict "root" $ "component" "web" "values" .Values.web
       "container" "what is its own" "secret" "its Secret" "keys" (list …)). Whatever it asks, it doesn't ask the cluster. */ -}}
{{- define "runbooks.process" -}}
{{- $selector := include "runbooks.selector" (dict "root" .root "component" .component) -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .root.Release.Name }}-{{ .component }}
  labels:
    {{- include "runbooks.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  replicas: {{ .values.replicas }}
  selector:
    matchLabels: {{- $selector | nindent 6 }}
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata:
      labels: {{- $selector | nindent 8 }}
      annotations:
        checksum/settings: {{ print .root.Values.settings .root.Values.routes | sha256sum }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      securityContext: {{- include "runbooks.podSecurity" .root | nindent 8 }}
      terminationGracePeriodSeconds: 20
      {{- include "runbooks.pullSecrets" .root | nindent 6 }}
      {{- include "runbooks.spread" (dict "root" .root "component" .component) | nindent 6 }}
      {{- with .values.nodeSelector }}
      nodeSelector: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.tolerations }}
      tolerations: {{- toYaml . | nindent 8 }}
      {{- end }}
      containers:
      - name: {{ .component }}
        image: {{ include "runbooks.image" .root }}
        imagePullPolicy: {{ .root.Values.image.pullPolicy }}
        {{- .container | nindent 8 }}
        resources: {{- toYaml .values.resources | nindent 10 }}
        securityContext: {{- include "runbooks.containerSecurity" .root | nindent 10 }}
        volumeMounts: {{- include "runbooks.mounts" .root | nindent 8 }}
      volumes:
      {{- include "runbooks.volumes" (dict "root" .root "secret" .secret "keys" .keys) | nindent 6 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ .root.Release.Name }}-{{ .component }}
  labels: {{- include "runbooks.labels" .root | nindent 4 }}
spec:
  maxUnavailable: 1
  selector:
    matchLabels: {{- $selector | nindent 6 }}
{{- end }}

{{- /* Where a process listens: (dict "root" $ "component" "web" "port" 8083). */ -}}
{{- define "runbooks.service" -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ .root.Release.Name }}-{{ .component }}
  labels:
    {{- include "runbooks.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
spec:
  selector: {{- include "runbooks.selector" (dict "root" .root "component" .component) | nindent 4 }}
  ports:
  - {name: http, port: {{ .port }}, targetPort: http}
{{- end }}

{{- /* Who comes in, and the only ways out beside names: (dict "root" $ "component" "web" "from" peers "out" (list 7233)). */ -}}
{{- define "runbooks.policy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ .root.Release.Name }}-{{ .component }}
  labels: {{- include "runbooks.labels" .root | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- include "runbooks.selector" (dict "root" .root "component" .component) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
  {{- with .from }}
  - from: {{- toYaml . | nindent 4 }}
    ports: [{port: http}]
  {{- else }} []
  {{- end }}
  egress:
  - ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
  {{- range .out | uniq }}
  - ports: [{port: {{ . }}}]
  {{- end }}
{{- end }}

{{- define "runbooks.temporalPort" -}}
{{ .Values.temporal.address | splitList ":" | last }}
{{- end }}

{{- /* The port of an https or http address. */ -}}
{{- define "runbooks.portOf" -}}
{{- $url := urlParse . -}}
{{- if contains ":" $url.host }}{{ $url.host | splitList ":" | last }}{{ else }}{{ eq $url.scheme "http" | ternary 80 443 }}{{ end -}}
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

{{- /* The component of a worker: (dict "role" "kubernetes"); "" is the worker of runs. */ -}}
{{- define "runbooks.workerName" -}}
{{ .role | empty | ternary "worker" (printf "worker-%s" .role) }}
{{- end }}

{{- /* How a worker is run, as YAML: what its role doesn't say is as for the worker of runs, but for what is secret. */ -}}
{{- define "runbooks.workerValues" -}}
{{- $worker := .root.Values.worker -}}
{{- $values := pick $worker "replicas" "resources" "nodeSelector" "tolerations" | deepCopy -}}
{{- if .role -}}
{{- $values = set $values "secret" (printf "%s-worker-%s" .root.Release.Name .role) -}}
{{- $values = mergeOverwrite $values (get $worker.roles .role | default dict | deepCopy) -}}
{{- else -}}
{{- $values = set $values "secret" .root.Values.secrets.worker -}}
{{- $values = merge $values (pick $worker "secretKeys" "environment" "serviceAccountAnnotations") -}}
{{- end -}}
{{- toYaml $values -}}
{{- end }}

{{- /* The roles whose steps a worker takes, as JSON. */ -}}
{{- define "runbooks.served" -}}
{{- $served := list -}}
{{- if .role -}}
{{- $served = list .role -}}
{{- else -}}
{{- range list "orchestration" "kubernetes" "database" "aws" "messages" "compliance" "security" -}}
{{- if not (hasKey $.root.Values.worker.roles .) }}{{ $served = append $served . }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $served -}}
{{- end }}

{{- /* The account that takes the steps of a role: (dict "root" $ "role" "kubernetes"). */ -}}
{{- define "runbooks.accountOf" -}}
{{ .root.Release.Name }}-{{ include "runbooks.workerName" (dict "role" (hasKey .root.Values.worker.roles .role | ternary .role "")) }}
{{- end }}

{{- /* All workers' components, as a list of YAML. */ -}}
{{- define "runbooks.workers" -}}
[worker{{ range keys .Values.worker.roles | sortAlpha }}, worker-{{ . }}{{ end }}]
{{- end }}
