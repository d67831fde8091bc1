{{/* A single pod over a volume, which outlives the release: (list $ NAME VALUES POD) */}}
{{- define "laneway.statefulSet" -}}
{{- $root := first . -}}
{{- $name := index . 1 -}}
{{- $values := index . 2 -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "laneway.metadata" (list $root (include "laneway.part" (list $root $name)) $name) | nindent 2 }}
spec:
  serviceName: {{ include "laneway.part" (list $root $name) }}
  replicas: 1
  revisionHistoryLimit: 3
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Retain}
  selector:
    matchLabels:
      {{- include "laneway.selector" (list $root $name) | nindent 6 }}
  template:
    {{- include "laneway.overlaid" (list (last .) $values.podTemplate) | nindent 4 }}
  volumeClaimTemplates:
    - metadata:
        name: data
        labels:
          {{- include "laneway.selector" (list $root $name) | nindent 10 }}
      spec:
        accessModes: [ReadWriteOnce]
        {{- with $values.persistence.storageClass }}
        storageClassName: {{ . | quote }}
        {{- end }}
        resources: {requests: {storage: {{ $values.persistence.size | quote }}}}
{{- end -}}
