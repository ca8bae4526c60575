{{- define "redinit.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "redinit.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "redinit.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "redinit.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "redinit.selector" -}}
app.kubernetes.io/name: {{ include "redinit.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* Name, labels and annotations of an object: (dict "root" . "name" "-suffix") */}}
{{- define "redinit.metadata" -}}
name: {{ include "redinit.fullname" .root }}{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "redinit.selector" .root | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- $annotations := merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "redinit.image" -}}
{{- $image := .Values.image -}}
{{- $registry := default $image.registry .Values.global.imageRegistry -}}
{{- if $registry }}{{ $registry }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end }}
{{- end -}}

{{- define "redinit.secret" -}}
{{- default (include "redinit.fullname" .) .Values.auth.existingSecret -}}
{{- end -}}

{{/* The election's name, which is the lease's. */}}
{{- define "redinit.election" -}}
{{ include "redinit.fullname" . }}
{{- end -}}

{{/* The environment: (dict "root" . "mode" "server") */}}
{{- define "redinit.env" -}}
{{- $name := include "redinit.fullname" .root -}}
{{- if eq .mode "sentinel" }}
- name: SENTINEL
  value: "true"
{{- end }}
{{- if eq .root.Values.shape "classic" }}
- name: REDIS_SERVER_SERVICE_HOST
  value: {{ $name }}-servers
- name: REDIS_SENTINEL_SERVICE_HOST
  value: {{ $name }}-sentinels
- name: REDIS_SENTINEL_SERVICE_PORT
  value: "26379"
{{- else }}
- name: REDINIT_SERVERS
  value: {{ $name }}-servers
- name: REDINIT_SENTINELS
  value: {{ $name }}-sentinels
- name: REDINIT_ELECTOR
  value: kubernetes
- name: REDINIT_ELECTION
  value: {{ include "redinit.election" .root }}
{{- end }}
- name: REDINIT_EXPECTED_SERVERS
  value: {{ .root.Values.replicaCount | quote }}
- name: REDINIT_MASTER_NAME
  value: {{ .root.Values.sentinel.masterName | quote }}
- name: REDINIT_QUORUM
  value: {{ .root.Values.sentinel.quorum | quote }}
- name: REDINIT_DOWN_AFTER
  value: {{ printf "%vms" .root.Values.sentinel.downAfterMilliseconds }}
- name: REDINIT_FAILOVER_TIMEOUT
  value: {{ printf "%vms" .root.Values.sentinel.failoverTimeout }}
- name: REDINIT_PARALLEL_SYNCS
  value: {{ .root.Values.sentinel.parallelSyncs | quote }}
- name: REDINIT_GRACE_PERIOD
  value: {{ printf "%vs" .root.Values.terminationGracePeriodSeconds }}
- name: REDINIT_DATA_DIR
  value: /data
{{- if .root.Values.auth.enabled }}
- name: REDIS_PASSWORD_FILE
  value: /run/secrets/redinit/password
{{- end }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- range $key, $value := .root.Values.settings }}
- name: REDINIT_{{ upper $key | replace "." "_" }}
  value: {{ $value | quote }}
{{- end }}
{{- with .root.Values.extraEnvVars }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Everything of a pod but its containers: (dict "root" . "component" "server") */}}
{{- define "redinit.placement" -}}
{{- $root := .root -}}
enableServiceLinks: false
terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
{{- with $root.Values.global.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $root.Values.podSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if ne $root.Values.podAntiAffinity "none" }}
affinity:
  podAntiAffinity:
    {{- if eq $root.Values.podAntiAffinity "hard" }}
    requiredDuringSchedulingIgnoredDuringExecution:
      - topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels:
            {{- include "redinit.selector" $root | nindent 12 }}
            app.kubernetes.io/component: {{ .component }}
    {{- else }}
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "redinit.selector" $root | nindent 14 }}
              app.kubernetes.io/component: {{ .component }}
    {{- end }}
{{- end }}
{{- if $root.Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range $root.Values.topologySpreadConstraints }}
  - {{ toYaml . | nindent 4 | trim }}
    labelSelector:
      matchLabels:
        {{- include "redinit.selector" $root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Labels and annotations of a pod: (dict "root" . "component" "server"). What the pods read only at start is in a
checksum, so that a change of it rolls them. */}}
{{- define "redinit.podMetadata" -}}
labels:
  {{- include "redinit.selector" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .component }}
  {{- with merge (dict) .root.Values.podLabels .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/configuration: {{ printf "%s/%s" .root.Values.configuration .root.Values.sentinel.configuration | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "redinit.probes" -}}
livenessProbe:
  exec:
    command: [redinit, probe, live]
  {{- toYaml .Values.livenessProbe | nindent 2 }}
readinessProbe:
  exec:
    command: [redinit, probe, ready]
  {{- toYaml .Values.readinessProbe | nindent 2 }}
{{- end -}}

{{/* Mounts of a server or a Sentinel: (dict "root" . "file" "redis.conf" "configuration" "..") */}}
{{- define "redinit.mounts" -}}
- name: data
  mountPath: /data
- name: run
  mountPath: /run/redinit
{{- if .root.Values.auth.enabled }}
- name: password
  mountPath: /run/secrets/redinit
  readOnly: true
{{- end }}
{{- if .configuration }}
- name: configuration
  mountPath: /etc/redinit/{{ .file }}
  subPath: {{ .file }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "redinit.volumes" -}}
- name: run
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- if .root.Values.auth.enabled }}
- name: password
  secret:
    secretName: {{ include "redinit.secret" .root }}
    defaultMode: 0440
    items:
      - key: {{ .root.Values.auth.existingSecretPasswordKey }}
        path: password
{{- end }}
{{- if .configuration }}
- name: configuration
  configMap:
    name: {{ include "redinit.fullname" .root }}
{{- end }}
{{- end -}}
