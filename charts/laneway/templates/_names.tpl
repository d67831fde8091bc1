{{/* Every name and label of the chart. */}}

{{- define "laneway.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- end -}}
{{- end -}}

{{/* The name of a part: (list $ "gateway") */}}
{{- define "laneway.part" -}}
{{- printf "%s-%s" (include "laneway.fullname" (first .)) (last .) -}}
{{- end -}}

{{/* The name of a lane's workers: (list $ "documents") */}}
{{- define "laneway.worker" -}}
{{- printf "%s-worker-%s" (include "laneway.fullname" (first .)) (last .) -}}
{{- end -}}

{{/* What selects the pods of a part, or of all: (list $), (list $ "gateway"), (list $ "worker" "documents").
     Names are quoted: YAML reads 2026 as a number, and on, no and y as booleans. */}}
{{- define "laneway.selector" -}}
app.kubernetes.io/name: {{ default (first .).Chart.Name (first .).Values.nameOverride | quote }}
app.kubernetes.io/instance: {{ (first .).Release.Name | quote }}
{{- if gt (len .) 1 }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}
{{- if gt (len .) 2 }}
laneway/queue: {{ index . 2 | quote }}
{{- end }}
{{- end -}}

{{/* Labels of an object: as the selector's. commonLabels win over what selects nothing. */}}
{{- define "laneway.labels" -}}
{{- $root := first . -}}
{{- $labels := include "laneway.selector" . | fromYaml -}}
{{- $_ := set $labels "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "app.kubernetes.io/part-of" "laneway" -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name (replace "+" "_" $root.Chart.Version)) -}}
{{- toYaml (merge dict $root.Values.commonLabels $labels) -}}
{{- end -}}

{{/* metadata of an object: (list $ NAME COMPONENT [QUEUE]) */}}
{{- define "laneway.metadata" -}}
name: {{ index . 1 }}
namespace: {{ (first .).Release.Namespace | quote }}
labels:
  {{- include "laneway.labels" (concat (list (first .)) (slice . 2)) | nindent 2 }}
{{- end -}}

{{/* metadata of an object with labels of its own: (list (list $ NAME COMPONENT) LABELS) */}}
{{- define "laneway.metadataWith" -}}
{{- $metadata := include "laneway.metadata" (first .) | fromYaml -}}
{{- toYaml (merge (dict "labels" (merge dict (last .) $metadata.labels)) $metadata) -}}
{{- end -}}

{{/* An image: (dict "image" .Values.image "tag" DEFAULT) */}}
{{- define "laneway.image" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .tag .image.tag) -}}
{{- end -}}
{{- end -}}

{{/* The Secrets that hold passwords: the user's own, or the ones made here. */}}
{{- define "laneway.redisSecret" -}}
{{- default (include "laneway.part" (list . "redis-users")) .Values.redis.embedded.existingSecret -}}
{{- end -}}
{{- define "laneway.storageSecret" -}}
{{- default (include "laneway.part" (list . "storage-keys")) .Values.storage.embedded.existingSecret -}}
{{- end -}}
{{- define "laneway.tokensSecret" -}}
{{- default (include "laneway.part" (list . "gateway-tokens")) .Values.gateway.tokens.existingSecret -}}
{{- end -}}

{{/* The hosts of a URL, each with its port if that is given, by commas; of a host, itself. */}}
{{- define "laneway.hostsOf" -}}
{{- regexReplaceAll "^[a-z+]+://([^@/]*@)?([^/?]*).*$" . "${2}" -}}
{{- end -}}

{{/* How Celery names the Redis of a URL; without its password. */}}
{{- define "laneway.celeryURL" -}}
{{- if hasPrefix "sentinel:" . -}}
{{- $rest := regexReplaceAll "^sentinel://[^/?]*" . "" -}}
{{- $places := list -}}
{{- range include "laneway.hostsOf" . | splitList "," -}}
{{- $places = append $places (printf "sentinel://%s%s" . (regexFind "^/[^?]*" $rest)) -}}
{{- end -}}
{{- $master := regexFind "[?&]master=[^&]*" $rest | trimPrefix "?" | trimPrefix "&" | trimPrefix "master=" -}}
{{- printf "%s, with master_name %s in its transport options" (join ";" $places) $master -}}
{{- else -}}
{{- regexReplaceAll "//[^@/]*@" . "//" -}}
{{- end -}}
{{- end -}}
