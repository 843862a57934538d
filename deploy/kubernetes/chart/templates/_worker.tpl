{{- define "search.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{/* nobody special, on a read-only file system, for each container */}}
{{- define "search.locked" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{/* settings and the database, for each container of ours; a list to append to */}}
{{- define "search.storage" -}}
- name: SEARCH_STORAGE
  valueFrom:
    secretKeyRef: {name: {{ .Values.storage.secret }}, key: {{ .Values.storage.key }}}
{{- end }}

{{/* changed settings are other pods: they are read once, when a pod starts */}}
{{- define "search.annotations" -}}
{checksum/settings: {{ include (print .Template.BasePath "/settings.yaml") . | sha256sum | trunc 16 | quote }}}
{{- end }}

{{- define "search.hasCode" -}}
{{- if or .Values.own.initImage .Values.own.configMap }}yes{{ end }}
{{- end }}

{{- define "search.codeMount" -}}
{{- if include "search.hasCode" . }}
- {name: own, mountPath: {{ .Values.own.path }}, readOnly: true}
{{- end }}
{{- end }}

{{- define "search.codeVolume" -}}
{{- if .Values.own.configMap }}
- name: own
  configMap: {name: {{ .Values.own.configMap }}}
{{- else if .Values.own.initImage }}
- name: own
  emptyDir: {sizeLimit: {{ .Values.workers.temporary }}}
{{- end }}
{{- end }}

{{/* what runs before a worker: your code copied, the study made */}}
{{- define "search.before" -}}
{{- if .Values.own.initImage }}
- name: code
  image: {{ .Values.own.initImage }}
  {{- with .Values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  command: ["cp", "-R", {{ printf "%s/." .Values.own.from | quote }}, {{ printf "%s/" .Values.own.path | quote }}]
  resources:
    requests: {cpu: 100m, memory: 64Mi, ephemeral-storage: 64Mi}
    limits: {memory: 256Mi, ephemeral-storage: 1Gi}
  securityContext:
    {{- include "search.locked" . | nindent 4 }}
  volumeMounts:
    - {name: own, mountPath: {{ .Values.own.path }}}
{{- end }}
{{- if .Values.study }}
- name: create # once for the study, whoever comes first
  image: {{ include "search.image" . }}
  {{- with .Values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  {{- if include "search.hasCode" . }}
  workingDir: {{ .Values.own.path }}
  {{- end }}
  args: ["search", "create", "$(STUDY)", "--exist-ok"]
  envFrom:
    - configMapRef: {name: search-settings}
  env:
    {{- include "search.storage" . | nindent 4 }}
  resources:
    requests: {cpu: 100m, memory: 256Mi, ephemeral-storage: 64Mi}
    limits: {memory: 1Gi, ephemeral-storage: 1Gi}
  securityContext:
    {{- include "search.locked" . | nindent 4 }}
  volumeMounts:
    - {name: tmp, mountPath: /tmp}
    {{- include "search.codeMount" . | nindent 4 }}
{{- end }}
{{- end }}

{{- define "search.command" -}}
{{- if .Values.command -}}
{{ toJson .Values.command }}
{{- else if eq .Values.workers.kind "Deployment" -}}
["search", "work", "$(STUDY)", "--stay"]
{{- else -}}
["search", "work", "$(STUDY)"]
{{- end }}
{{- end }}

{{/* the pod of a worker: `restart` is its restartPolicy */}}
{{- define "search.worker" -}}
{{- with .root -}}
metadata:
  labels: {app: search-worker, app.kubernetes.io/part-of: search}
  annotations: {{ include "search.annotations" . }}
spec:
  automountServiceAccountToken: false
  restartPolicy: {{ $.restart }}
  # asked to stop, a worker hands its trial over in less than 5 s; code of yours is given 8 s
  terminationGracePeriodSeconds: 30
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets: {{ toJson . }}
  {{- end }}
  {{- with .Values.workers.nodeSelector }}
  nodeSelector: {{ toJson . }}
  {{- end }}
  {{- with .Values.workers.tolerations }}
  tolerations: {{ toJson . }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    fsGroup: 10001
    seccompProfile: {type: RuntimeDefault}
  {{- with include "search.before" . }}
  initContainers:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    - name: worker
      image: {{ include "search.image" . }}
      {{- with .Values.image.pullPolicy }}
      imagePullPolicy: {{ . }}
      {{- end }}
      {{- if include "search.hasCode" . }}
      workingDir: {{ .Values.own.path }}
      {{- end }}
      args: {{ include "search.command" . }}
      envFrom:
        - configMapRef: {name: search-settings}
      env:
        {{- include "search.storage" . | nindent 8 }}
        - name: OMP_NUM_THREADS
          value: {{ .Values.workers.threads | quote }}
        {{- if ne (int .Values.workers.slots) 1 }}
        - name: SEARCH_SLOTS
          value: {{ .Values.workers.slots | quote }}
        {{- end }}
        {{- with .Values.env }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      # no probe: a worker waits out an outage, and one that hangs loses its trial
      {{- $resources := deepCopy .Values.workers.resources }}
      {{- if .Values.workers.gpusPerWorker }}
      {{- $_ := set $resources "limits" (merge (dict "nvidia.com/gpu" .Values.workers.gpusPerWorker) (default dict $resources.limits)) }}
      {{- end }}
      resources: {{ toJson $resources }}
      securityContext:
        {{- include "search.locked" . | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- include "search.codeMount" . | nindent 8 }}
        {{- if .Values.workers.dataClaim }}
        - {name: data, mountPath: /data, readOnly: true}
        {{- else if .Values.network.toTheWeb }}
        - {name: data, mountPath: /data}
        {{- end }}
        {{- if .Values.store.claim }}
        - {name: store, mountPath: /store}
        {{- end }}
  volumes:
    - name: tmp # the engine, which each pod compiles for itself where its processor is not the image's
      emptyDir: {sizeLimit: {{ .Values.workers.temporary }}}
    {{- include "search.codeVolume" . | nindent 4 }}
    {{- if .Values.workers.dataClaim }}
    - name: data
      persistentVolumeClaim: {claimName: {{ .Values.workers.dataClaim }}, readOnly: true}
    {{- else if .Values.network.toTheWeb }}
    - name: data
      emptyDir: {sizeLimit: 512Mi}
    {{- end }}
    {{- with .Values.store.claim }}
    - name: store
      persistentVolumeClaim: {claimName: {{ . }}}
    {{- end }}
{{- end }}
{{- end }}
