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

{{/* Name, labels and annotations of an object: (dict "root" . "name" "-suffix"), with "base", "labels" and "annotations" of its
own where it has some. */}}
{{- define "redinit.metadata" -}}
name: {{ default (include "redinit.fullname" .root) .base }}{{ .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "redinit.selector" .root | nindent 2 }}
  app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
  app.kubernetes.io/managed-by: {{ .root.Release.Service }}
  helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
  {{- with merge (dict) (.labels | default dict) .root.Values.commonLabels }}
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

{{/* The election's name, which is the lease's: the Role and the side-car need the one that `settings` give, too. */}}
{{- define "redinit.election" -}}
{{- $election := include "redinit.fullname" . -}}
{{- range $key, $value := .Values.settings }}{{ if eq (upper $key) "ELECTION" }}{{ $election = $value }}{{ end }}{{ end -}}
{{- $election -}}
{{- end -}}

{{/* The account of the servers, and with "-sentinel" of the Sentinels: (dict "root" . "part" ""). One of your own is for both. */}}
{{- define "redinit.account" -}}
{{- $account := .root.Values.serviceAccount -}}
{{- default (include "redinit.fullname" .root) $account.name -}}
{{- if or $account.create (not $account.name) }}{{ .part }}{{ end -}}
{{- end -}}

{{/* The environment: (dict "root" . "mode" "server"). Each variable once, for a patch that removes one of two removes both:
`extraEnvVars` count before `settings`, these before the chart's own. */}}
{{- define "redinit.env" -}}
{{- $values := .root.Values -}}
{{- $name := include "redinit.fullname" .root -}}
{{- $plain := dict
  "REDINIT_EXPECTED_SERVERS" $values.replicaCount
  "REDINIT_MASTER_NAME" $values.sentinel.masterName
  "REDINIT_CLUSTER_ID" (printf "%s/%s" .root.Release.Namespace $name)
  "REDINIT_QUORUM" $values.sentinel.quorum
  "REDINIT_DOWN_AFTER" (printf "%dms" (int64 $values.sentinel.downAfterMilliseconds))
  "REDINIT_FAILOVER_TIMEOUT" (printf "%dms" (int64 $values.sentinel.failoverTimeout))
  "REDINIT_PARALLEL_SYNCS" $values.sentinel.parallelSyncs
  "REDINIT_GRACE_PERIOD" (printf "%ds" (int64 $values.terminationGracePeriodSeconds))
  "REDINIT_DATA_DIR" "/data"
-}}
{{- $places := dict
  "REDINIT_SERVERS" (printf "%s-servers" $name)
  "REDINIT_SENTINELS" (printf "%s-sentinels" $name)
  "REDINIT_ELECTOR" "kubernetes"
  "REDINIT_ELECTION" (include "redinit.election" .root)
-}}
{{- if eq $values.shape "classic" -}}
{{- $places = dict
  "REDIS_SERVER_SERVICE_HOST" (printf "%s-servers" $name)
  "REDIS_SENTINEL_SERVICE_HOST" (printf "%s-sentinels" $name)
  "REDIS_SENTINEL_SERVICE_PORT" "26379"
-}}
{{- end -}}
{{- $plain = merge $plain $places -}}
{{- if eq .mode "sentinel" -}}
{{- $_ := set $plain "SENTINEL" "true" -}}
{{- end -}}
{{- if $values.auth.enabled -}}
{{- $_ := set $plain "REDIS_PASSWORD_FILE" "/run/secrets/redinit/password" -}}
{{- end -}}
{{- range $key, $value := $values.settings -}}
{{- $_ := set $plain (printf "REDINIT_%s" (upper $key | replace "." "_")) $value -}}
{{- end -}}
{{- $fields := dict "POD_IP" "status.podIP" "POD_NAME" "metadata.name" -}}
{{- $extra := list -}}
{{- $seen := dict -}}
{{- range reverse $values.extraEnvVars -}}
{{- $_ := unset $plain .name -}}
{{- $_ := unset $fields .name -}}
{{- if not (hasKey $seen .name) }}{{ $extra = prepend $extra . }}{{ end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- /* The pod's own come first, so that all others may name them: `$(POD_IP)`. */ -}}
{{- range $variable, $field := $fields }}
- name: {{ $variable }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $field }}
{{- end }}
{{- range $variable, $value := $plain }}
- name: {{ $variable }}
  {{- /* As JSON a million is no `1e+06`. */}}
  value: {{ kindIs "string" $value | ternary $value (toJson $value) | quote }}
{{- end }}
{{- with $extra }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* How a Deployment goes over to new pods: where no node takes two, the old pod goes first, or there is no place for the new. */}}
{{- define "redinit.strategy" -}}
{{- $hard := eq .Values.podAntiAffinity "hard" -}}
rollingUpdate:
  maxSurge: {{ ternary 0 1 $hard }}
  maxUnavailable: {{ ternary 1 0 $hard }}
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
