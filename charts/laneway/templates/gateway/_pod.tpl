{{- define "laneway.gatewayPod" -}}
{{- $seen := include "laneway.scrapeAnnotations" (list . "8080") | fromYaml -}}
{{- $checks := dict "checksum/settings" (include "laneway.settings" . | sha256sum) "checksum/catalogue" (include "laneway.catalogueChecksum" (list . "")) -}}
metadata:
  {{- include "laneway.podMetadata" (list (list . "gateway") dict (merge dict $checks $seen)) | nindent 2 }}
spec:
  {{- include "laneway.podSpec" (list . (include "laneway.part" (list . "gateway"))) | nindent 2 }}
  # The pause before SIGTERM, 30 s for requests in progress, and a margin.
  terminationGracePeriodSeconds: 50
  topologySpreadConstraints:
    {{- include "laneway.spread" (list nil (include "laneway.selector" (list . "gateway"))) | nindent 4 }}
  containers:
    - {{ include "laneway.container" (list . "gateway") | nindent 6 | trim }}
      args: [gateway]
      env:
        {{- include "laneway.entries" (list (include "laneway.env" (list . "gateway")) .Values.gateway.extraEnv "name") | nindent 8 }}
      ports:
        - {name: http, containerPort: 8080}
      # New connections still come while the cluster learns that the pod ends.
      lifecycle: {preStop: {sleep: {seconds: 5}}}
      {{- include "laneway.probes" "http" | nindent 6 }}
      resources:
        {{- toYaml .Values.gateway.resources | nindent 8 }}
      volumeMounts:
        {{- include "laneway.entries" (list (include "laneway.gatewayMounts" .) .Values.gateway.extraVolumeMounts "mountPath") | nindent 8 }}
  volumes:
    {{- include "laneway.entries" (list (include "laneway.gatewayVolumes" .) .Values.gateway.extraVolumes "name") | nindent 4 }}
{{- end -}}

{{- define "laneway.gatewayMounts" -}}
{{ include "laneway.mounts" . }}
- {name: tokens, mountPath: /etc/laneway/tokens, readOnly: true}
{{- end -}}

{{- define "laneway.gatewayVolumes" -}}
{{ include "laneway.volumes" (dict "root" . "user" "gateway" "storage" true "mail" false) }}
- name: tokens
  secret: {secretName: {{ include "laneway.tokensSecret" . | quote }}, items: [{key: tokens.yaml, path: tokens.yaml}], defaultMode: 0440}
{{- end -}}
