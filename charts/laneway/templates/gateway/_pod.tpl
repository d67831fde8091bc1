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
        {{- include "laneway.env" (list . "gateway") | nindent 8 }}
        {{- with .Values.gateway.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: http, containerPort: 8080}
      # New connections still come while the cluster learns that the pod ends.
      lifecycle: {preStop: {sleep: {seconds: 5}}}
      {{- include "laneway.probes" "http" | nindent 6 }}
      resources:
        {{- toYaml .Values.gateway.resources | nindent 8 }}
      volumeMounts:
        {{- include "laneway.mounts" . | nindent 8 }}
        - {name: tokens, mountPath: /etc/laneway/tokens, readOnly: true}
        {{- with .Values.gateway.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "laneway.volumes" (dict "root" . "user" "gateway" "storage" true "mail" false) | nindent 4 }}
    - name: tokens
      secret: {secretName: {{ include "laneway.tokensSecret" . | quote }}, items: [{key: tokens.yaml, path: tokens.yaml}], defaultMode: 0440}
    {{- with .Values.gateway.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}
