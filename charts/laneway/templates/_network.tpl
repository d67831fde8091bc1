{{/* Pieces of NetworkPolicies. */}}

{{/* A policy: (list $ COMPONENT INGRESS EGRESS), the rules as YAML lists */}}
{{- define "laneway.policy" -}}
{{- $root := first . -}}
{{- $component := index . 1 -}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "laneway.metadata" (list $root (include "laneway.part" (list $root $component)) $component) | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "laneway.selector" (list $root $component) | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    {{- index . 2 | default "[]" | nindent 4 }}
  egress:
    {{- index . 3 | default "[]" | nindent 4 }}
{{ end -}}

{{/* A peer: pods of a part of this release. */}}
{{- define "laneway.peer" -}}
- podSelector:
    matchLabels:
      {{- include "laneway.selector" . | nindent 6 }}
{{- end -}}

{{/* Lists in values that stand for everybody when empty. */}}
{{- define "laneway.peers" -}}
{{- if . }}{{ toYaml . }}{{ else }}- namespaceSelector: {}{{ end -}}
{{- end -}}

{{- define "laneway.egress.dns" -}}
- to:
    {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports: [{port: 53, protocol: UDP}, {port: 53, protocol: TCP}]
{{- end -}}

{{/* To a part of this release, or to a server elsewhere, of which only the port is known:
     (list $ "redis" 6379 URL DEFAULTPORT) */}}
{{- define "laneway.egress.server" -}}
{{- $url := index . 3 -}}
{{- if $url -}}
- ports: [{port: {{ include "laneway.portOf" (list $url (index . 4)) }}, protocol: TCP}]
{{- else -}}
- to:
    {{- include "laneway.peer" (list (first .) (index . 1)) | nindent 4 }}
  ports: [{port: {{ index . 2 }}, protocol: TCP}]
{{- end -}}
{{- end -}}

{{/* The port of the first host of a URL, or of a host: (list URL DEFAULT) */}}
{{- define "laneway.portOf" -}}
{{- $place := include "laneway.hostsOf" (first .) | splitList "," | first -}}
{{- $port := regexFind ":[0-9]+$" $place | trimPrefix ":" -}}
{{- default (last .) $port -}}
{{- end -}}

{{/* To a Redis elsewhere: its URL. Sentinels say where the primary is, of which only the usual port is known. */}}
{{- define "laneway.egress.redis" -}}
{{- $ports := list -}}
{{- if hasPrefix "sentinel:" . -}}
{{- range include "laneway.hostsOf" . | splitList "," -}}
{{- $ports = append $ports (include "laneway.portOf" (list . 26379)) -}}
{{- end -}}
{{- $ports = append $ports "6379" -}}
{{- else -}}
{{- $ports = list (include "laneway.portOf" (list . 6379)) -}}
{{- end -}}
- ports:
    {{- range uniq $ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{/* To what Redis each process needs, and the collector. */}}
{{- define "laneway.egress.common" -}}
{{- $redis := .Values.redis -}}
{{ include "laneway.egress.dns" . }}
{{ if $redis.external.url }}{{ include "laneway.egress.redis" $redis.external.url }}{{ else }}{{ include "laneway.egress.server" (list . "redis" 6379 "" 0) }}{{ end }}
{{- with $redis.results.url }}
{{ include "laneway.egress.redis" . }}
{{- end }}
{{- range $redis.others }}
{{ include "laneway.egress.redis" .url }}
{{- end }}
{{- with .Values.traces.endpoint }}
{{ include "laneway.egress.server" (list $ "" 0 . (ternary 443 80 (hasPrefix "https:" .))) }}
{{- end }}
{{- with .Values.networkPolicy.extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Nowhere for a folder, which is a volume. */}}
{{- define "laneway.egress.storage" -}}
{{- $external := .Values.storage.external -}}
{{- if not (hasPrefix "file:" $external.url) -}}
{{- $endpoint := $external.endpoint -}}
{{- if and $external.url (not $endpoint) -}}{{- $endpoint = "https://s3" -}}{{- end -}}
{{ include "laneway.egress.server" (list . "storage" 7070 $endpoint (ternary 443 80 (hasPrefix "https:" $endpoint))) }}
{{- end -}}
{{- end -}}

{{- define "laneway.egress.mail" -}}
{{- if .Values.mail.host -}}
- ports: [{port: {{ .Values.mail.port }}, protocol: TCP}]
{{- else -}}
- to:
    {{- include "laneway.peer" (list . "mail-sink") | nindent 4 }}
  ports: [{port: 2525, protocol: TCP}]
{{- end -}}
{{- end -}}

{{/* Callers of the gateway, and who reads its metrics on the same port; everybody if everybody may call it. */}}
{{- define "laneway.ingress.gateway" -}}
{{- $policy := .Values.networkPolicy -}}
- from:
    {{- if and $policy.gatewayFrom $policy.metricsFrom }}
    {{- toYaml (concat $policy.gatewayFrom $policy.metricsFrom) | nindent 4 }}
    {{- include "laneway.peer" (list . "test") | nindent 4 }}
    {{- else if $policy.gatewayFrom }}
    {{- toYaml $policy.gatewayFrom | nindent 4 }}
    {{- include "laneway.peer" (list . "test") | nindent 4 }}
    {{- else }}
    - namespaceSelector: {}
    - ipBlock: {cidr: 0.0.0.0/0}
    - ipBlock: {cidr: "::/0"}
    {{- end }}
  ports: [{port: http}]
{{- end -}}

{{- define "laneway.ingress.redis" -}}
- from:
    {{- range list "worker" "gateway" "test" }}
    {{- include "laneway.peer" (list $ .) | nindent 4 }}
    {{- end }}
    {{- with .Values.networkPolicy.redisFrom }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  ports: [{port: redis}]
{{- end -}}

{{/* Lanes whose workers reach a part of this release: (list $ "storageAccess") */}}
{{- define "laneway.lanesWith" -}}
{{- range $name, $lane := include "laneway.lanes" (first .) | fromYaml }}
{{- if get $lane (last $) }}
{{ include "laneway.peer" (list (first $) "worker" $name) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "laneway.ingress.storage" -}}
- from:
    {{- include "laneway.lanesWith" (list . "storageAccess") | nindent 4 }}
    {{- include "laneway.peer" (list . "gateway") | nindent 4 }}
  ports: [{port: s3}]
{{- end -}}

{{- define "laneway.ingress.mail" -}}
{{- with include "laneway.lanesWith" (list . "mailAccess") -}}
- from:
    {{- . | nindent 4 }}
  ports: [{port: smtp}]
{{- end -}}
{{- end -}}

{{- define "laneway.egress.test" -}}
{{ include "laneway.egress.common" . }}
- to:
    {{- include "laneway.peer" (list . "gateway") | nindent 4 }}
  ports: [{port: http}]
{{- end -}}
