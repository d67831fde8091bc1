{{/* The pod of a lane's worker: (list $ NAME LANE) */}}
{{- define "laneway.workerPod" -}}
{{- $root := first . -}}
{{- $name := index . 1 -}}
{{- $lane := index . 2 -}}
{{- $user := printf "worker-%s" $name -}}
{{- $seen := include "laneway.scrapeAnnotations" (list $root "9464") | fromYaml -}}
{{- $checks := dict "checksum/settings" (include "laneway.settings" $root | sha256sum) "checksum/catalogue" (include "laneway.catalogueChecksum" (list $root $name)) -}}
metadata:
  {{- include "laneway.podMetadata" (list (list $root "worker" $name) $lane.podLabels (merge dict $lane.podAnnotations $checks $seen)) | nindent 2 }}
spec:
  {{- include "laneway.podSpec" (list $root (include "laneway.part" (list $root "workers"))) | nindent 2 }}
  terminationGracePeriodSeconds: {{ include "laneway.graceSeconds" $lane }}
  {{- with $lane.priorityClassName }}
  priorityClassName: {{ . | quote }}
  {{- end }}
  {{- range $field := list "nodeSelector" "tolerations" "affinity" }}
  {{- with get $lane $field }}
  {{ $field }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  topologySpreadConstraints:
    {{- include "laneway.spread" (list $lane.topologySpreadConstraints (include "laneway.selector" (list $root "worker" $name))) | nindent 4 }}
  containers:
    - {{ include "laneway.container" (list $root "worker") | nindent 6 | trim }}
      args: [worker, --queue, {{ $name | quote }}]
      env:
        {{- include "laneway.entries" (list (include "laneway.env" (list $root $user)) $lane.extraEnv "name") | nindent 8 }}
      ports:
        - {name: health, containerPort: 9464}
      {{- include "laneway.probes" "health" | nindent 6 }}
      resources:
        {{- toYaml $lane.resources | nindent 8 }}
      volumeMounts:
        {{- include "laneway.entries" (list (include "laneway.mounts" $root) $lane.extraVolumeMounts "mountPath") | nindent 8 }}
  volumes:
    {{- $volumes := include "laneway.volumes" (dict "root" $root "user" $user "storage" $lane.storageAccess "mail" $lane.mailAccess) }}
    {{- include "laneway.entries" (list $volumes $lane.extraVolumes "name") | nindent 4 }}
{{- end -}}
