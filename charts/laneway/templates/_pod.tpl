{{/* What pods have in common. */}}

{{/* A pod template with a user's fields laid over it: (list YAML FIELDS) */}}
{{- define "laneway.overlaid" -}}
{{- $pod := mustMergeOverwrite (first . | fromYaml) (deepCopy (last . | default dict)) -}}
{{- include "laneway.dropNulls" $pod -}}
{{- toYaml $pod -}}
{{- end -}}

{{/* Takes out of a map what null takes away: Kubernetes reads a limit of null as one of 0. */}}
{{- define "laneway.dropNulls" -}}
{{- $map := . -}}
{{- range $key, $value := $map -}}
{{- if kindIs "invalid" $value -}}{{- $_ := unset $map $key -}}
{{- else if kindIs "map" $value -}}{{- include "laneway.dropNulls" $value -}}
{{- else if kindIs "slice" $value -}}
{{- range $value -}}{{- if kindIs "map" . -}}{{- include "laneway.dropNulls" . -}}{{- end -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* metadata of a pod: (list (list $ COMPONENT [QUEUE]) LABELS ANNOTATIONS) */}}
{{- define "laneway.podMetadata" -}}
{{- $root := first (first .) -}}
labels:
  {{- include "laneway.selector" (first .) | nindent 2 }}
  {{- with merge dict (index . 1) $root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge dict (index . 2) $root.Values.podAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Annotations that tell a Prometheus without the operator where to look: (list $ PORT) */}}
{{- define "laneway.scrapeAnnotations" -}}
{{- if (first .).Values.metrics.annotations }}
prometheus.io/scrape: "true"
prometheus.io/port: {{ last . | quote }}
prometheus.io/path: /metrics
{{- end }}
{{- end -}}

{{/* Entries of the chart's and those of values. One that values name as well gives way, since in a list
     Kubernetes takes each but once: (list YAML ENTRIES KEY) */}}
{{- define "laneway.entries" -}}
{{- $key := last . -}}
{{- $given := index . 1 -}}
{{- $taken := dict -}}
{{- range $given -}}{{- $_ := set $taken (toString (get . $key)) true -}}{{- end -}}
{{- $kept := list -}}
{{- range first . | fromYamlArray -}}
{{- if not (hasKey $taken (get . $key)) -}}{{- $kept = append $kept . -}}{{- end -}}
{{- end -}}
{{- toYaml (concat $kept $given) -}}
{{- end -}}

{{/* The beginning of each pod's spec: (list $ SERVICEACCOUNT) */}}
{{- define "laneway.podSpec" -}}
serviceAccountName: {{ last . }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- toYaml (first .).Values.podSecurityContext | nindent 2 }}
{{- with (first .).Values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
{{- end -}}

{{/* Name, image and security of a container of Laneway's image: (list $ NAME) */}}
{{- define "laneway.container" -}}
name: {{ last . }}
image: {{ include "laneway.image" (dict "image" (first .).Values.image "tag" (first .).Chart.AppVersion) }}
imagePullPolicy: {{ (first .).Values.image.pullPolicy }}
securityContext:
  {{- toYaml (first .).Values.containerSecurityContext | nindent 2 }}
{{- end -}}

{{/* Environment of each process of Laneway: (list $ REDIS-USER) */}}
{{- define "laneway.env" -}}
- {name: LANEWAY_CONFIG_FILE, value: /etc/laneway/config/settings.yaml}
- {name: LANEWAY_QUEUES_FILE, value: /etc/laneway/config/queues.yaml}
- {name: LANEWAY_SECRETS_DIR, value: /etc/laneway/secrets}
- {name: HOME, value: /tmp}
{{- with include "laneway.redisUsername" . }}
- {name: LANEWAY_BROKER_USERNAME, value: {{ . | quote }}}
{{- end }}
{{- end -}}

{{/* The user that a role logs in to Redis as: (list $ ROLE) */}}
{{- define "laneway.redisUsername" -}}
{{- $external := (first .).Values.redis.external -}}
{{- if or (not $external.url) (eq $external.users "perRole") -}}
{{- last . -}}
{{- else -}}
{{- $external.username -}}
{{- end -}}
{{- end -}}

{{- define "laneway.mounts" -}}
- {name: config, mountPath: /etc/laneway/config, readOnly: true}
- {name: secrets, mountPath: /etc/laneway/secrets, readOnly: true}
- {name: tmp, mountPath: /tmp}
{{- end -}}

{{/* Volumes: (dict "root" $ "user" REDIS-USER "storage" BOOL "mail" BOOL) */}}
{{- define "laneway.volumes" -}}
- name: config
  configMap: {name: {{ include "laneway.part" (list .root "config") }}}
- name: tmp
  emptyDir: {sizeLimit: {{ .root.Values.tmpSize }}}
- name: secrets
  projected:
    defaultMode: 0440
    sources:
      {{- include "laneway.secretSources" . | default "[]" | nindent 6 }}
{{- end -}}

{{/* The Secrets that a process reads, each as a file of a setting's name. */}}
{{- define "laneway.secretSources" -}}
{{- $redis := .root.Values.redis -}}
{{- if not $redis.external.url }}
- secret: {name: {{ include "laneway.redisSecret" .root | quote }}, items: [{key: {{ .user }}, path: broker_password}]}
{{- else if $redis.external.existingSecret }}
- secret: {name: {{ $redis.external.existingSecret | quote }}, items: [{key: {{ ternary .user $redis.external.passwordKey (eq $redis.external.users "perRole") | quote }}, path: broker_password}]}
{{- end }}
{{- if $redis.external.caSecret }}
- secret: {name: {{ $redis.external.caSecret | quote }}, items: [{key: ca.crt, path: broker-ca.crt}]}
{{- end }}
{{- if $redis.results.existingSecret }}
- secret: {name: {{ $redis.results.existingSecret | quote }}, items: [{key: {{ $redis.results.passwordKey | quote }}, path: result_password}]}
{{- end }}
{{- range $name, $other := $redis.others }}
{{- if $other.existingSecret }}
- secret: {name: {{ $other.existingSecret | quote }}, items: [{key: {{ default "password" $other.passwordKey | quote }}, path: broker_password_{{ $name }}}]}
{{- end }}
{{- end }}
{{- if .storage }}
{{- with ternary .root.Values.storage.external.existingSecret (include "laneway.storageSecret" .root) (ne .root.Values.storage.external.url "") }}
- secret: {name: {{ . | quote }}, items: [{key: access-key, path: storage_access_key}, {key: secret-key, path: storage_secret_key}]}
{{- end }}
{{- end }}
{{- if and .mail .root.Values.mail.host }}
{{- with .root.Values.mail.existingSecret }}
- secret: {name: {{ . | quote }}, items: [{key: {{ $.root.Values.mail.passwordKey | quote }}, path: smtp_password}]}
{{- end }}
{{- with .root.Values.mail.caSecret }}
- secret: {name: {{ . | quote }}, items: [{key: ca.crt, path: smtp-ca.crt}]}
{{- end }}
{{- end }}
{{- with .root.Values.settingsSecret }}
{{- if .name }}
- secret: {name: {{ .name | quote }}, items: [{{ range $i, $key := .keys }}{{ if $i }}, {{ end }}{key: {{ $key }}, path: {{ $key }}}{{ end }}]}
{{- end }}
{{- end }}
{{- end -}}

{{/* The probes of a process: port's name. The first may take its time, since a node may be busy. */}}
{{- define "laneway.probes" -}}
startupProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 1
  timeoutSeconds: 5
  failureThreshold: 120
livenessProbe:
  httpGet: {path: /livez, port: {{ . }}}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: {{ . }}}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* Spread over nodes as far as possible. Not over zones by default: where nodes have no zone, the
     scheduler would then not spread at all. Pods of an older template, which are leaving, do not count.
     (list CONSTRAINTS SELECTOR) */}}
{{- define "laneway.spread" -}}
{{- $selector := last . | fromYaml -}}
{{- $constraints := first . -}}
{{- if kindIs "invalid" $constraints -}}
{{- $constraints = list (dict "maxSkew" 1 "topologyKey" "kubernetes.io/hostname" "whenUnsatisfiable" "ScheduleAnyway" "matchLabelKeys" (list "pod-template-hash")) -}}
{{- end -}}
{{- $spread := list -}}
{{- range $constraints -}}
{{- $spread = append $spread (merge (dict "labelSelector" (dict "matchLabels" $selector)) .) -}}
{{- end -}}
{{- toYaml $spread -}}
{{- end -}}

{{/* How a Deployment replaces its pods. The default's rollingUpdate, over which values are merged, is
     nothing that Kubernetes takes beside another type. */}}
{{- define "laneway.strategy" -}}
{{- $strategy := ternary (deepCopy .) (omit . "rollingUpdate") (eq (default "RollingUpdate" .type) "RollingUpdate") -}}
{{- include "laneway.dropNulls" $strategy -}}
{{- toYaml $strategy -}}
{{- end -}}

{{/* A PodDisruptionBudget where there is more than one pod: (list (list $ COMPONENT [QUEUE]) NAME REPLICAS) */}}
{{- define "laneway.budget" -}}
{{- if gt (int (last .)) 1 }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "laneway.metadata" (concat (list (first (first .)) (index . 1)) (rest (first .))) | nindent 2 }}
spec:
  maxUnavailable: 1
  # A pod that is not ready does no work that the budget could guard: a lane that cannot start, or has no
  # Redis, would hold up the drain of its nodes for as long.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "laneway.selector" (first .) | nindent 6 }}
{{- end }}
{{- end -}}

{{/* A ServiceAccount, which may nothing: (list $ NAME COMPONENT ANNOTATIONS) */}}
{{- define "laneway.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "laneway.metadata" (list (first .) (index . 1) (index . 2)) | nindent 2 }}
  {{- with last . }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}
