{{/* The settings file of all processes, as YAML. */}}
{{- define "laneway.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- range list "broker" "storage" "mail" "seen" -}}
{{- $settings = merge $settings (include (printf "laneway.settings.%s" .) $ | fromYaml) -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "laneway.settings.broker" -}}
{{- $redis := .Values.redis -}}
broker_url: {{ default (printf "redis://%s:6379/0" (include "laneway.part" (list . "redis"))) $redis.external.url | quote }}
{{- if $redis.external.caSecret }}
broker_ca_file: /etc/laneway/secrets/broker-ca.crt
{{- end }}
{{- with $redis.results }}
{{- if .url }}
result_url: {{ .url | quote }}
{{- end }}
{{- if .username }}
result_username: {{ .username | quote }}
{{- end }}
{{- end }}
{{- if $redis.others }}
brokers:
  {{- range $name, $other := $redis.others }}
  {{ $name | quote }}: {{ $other.url | quote }}
  {{- end }}
{{- end }}
{{- with .Values.taskModules }}
task_modules: {{ toJson . }}
{{- end }}
{{- end -}}

{{- define "laneway.settings.storage" -}}
{{- with .Values.storage.external }}
{{- if .url }}
storage_url: {{ .url | quote }}
storage_region: {{ .region | quote }}
{{- if .endpoint }}
storage_endpoint: {{ .endpoint | quote }}
{{- end }}
{{- else }}
storage_url: s3://laneway
storage_endpoint: http://{{ include "laneway.part" (list $ "storage") }}:7070
{{- end }}
{{- end }}
{{- end -}}

{{- define "laneway.settings.mail" -}}
{{- with .Values.mail }}
smtp_from: {{ .from | quote }}
{{- if .host }}
smtp_host: {{ .host | quote }}
smtp_port: {{ .port }}
smtp_security: {{ .security }}
{{- if .username }}
smtp_username: {{ .username | quote }}
{{- end }}
{{- if .caSecret }}
smtp_ca_file: /etc/laneway/secrets/smtp-ca.crt
{{- end }}
{{- else }}
smtp_host: {{ include "laneway.part" (list $ "mail-sink") }}
smtp_port: 2525
smtp_security: none
{{- end }}
{{- end }}
{{- end -}}

{{- define "laneway.settings.seen" -}}
health_bind: 0.0.0.0:9464
gateway_bind: 0.0.0.0:8080
gateway_tokens_file: /etc/laneway/tokens/tokens.yaml
metrics: {{ .Values.metrics.enabled }}
trace_share: {{ .Values.traces.share }}
{{- with .Values.traces.endpoint }}
otlp_endpoint: {{ . | quote }}
{{- end }}
{{- end -}}
