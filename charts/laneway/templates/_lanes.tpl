{{/* What a lane is, from queueDefaults and its own fields. */}}

{{/* The fields that the catalogue knows; the others are of pods. */}}
{{- define "laneway.catalogueFields" -}}
[concurrency, pool, prefetch, softTimeLimit, timeLimit, leaseSeconds, maxDeliveries, maxLength, deadLetterRetention, waitTarget, finishTarget, objective, autoscaling, broker, drainSeconds, tasks]
{{- end -}}

{{/* All lanes by name, each with all its fields, as YAML. */}}
{{- define "laneway.lanes" -}}
{{- $lanes := dict -}}
{{- range $name, $fields := .Values.queues -}}
{{- if not (kindIs "invalid" $fields) -}}
{{- $_ := set $lanes $name (mustMergeOverwrite (deepCopy $.Values.queueDefaults) (deepCopy $fields)) -}}
{{- end -}}
{{- end -}}
{{- toYaml $lanes -}}
{{- end -}}

{{/* Seconds that a lane takes to drain: a lane. */}}
{{- define "laneway.drainSeconds" -}}
{{- if kindIs "invalid" .drainSeconds }}{{ int .timeLimit }}{{ else }}{{ int .drainSeconds }}{{ end -}}
{{- end -}}

{{/* After the drain: what a worker takes to end killed tasks (15 s), and as much again. */}}
{{- define "laneway.drainMargin" -}}30{{- end -}}

{{- define "laneway.graceSeconds" -}}
{{- if .terminationGracePeriodSeconds -}}
{{- int .terminationGracePeriodSeconds -}}
{{- else -}}
{{- add (include "laneway.drainSeconds" .) (include "laneway.drainMargin" .) -}}
{{- end -}}
{{- end -}}

{{/* The catalogue file, as YAML. */}}
{{- define "laneway.catalogue" -}}
{{- $known := include "laneway.catalogueFields" . | fromYamlArray -}}
{{- $queues := dict -}}
{{- range $name, $lane := include "laneway.lanes" . | fromYaml -}}
{{- $_ := set $queues $name (include "laneway.picked" (list $lane $known) | fromYaml) -}}
{{- end -}}
{{- toYaml (dict "queues" $queues) -}}
{{- end -}}

{{/* Some fields of a lane: (list LANE NAMES) */}}
{{- define "laneway.picked" -}}
{{- $lane := first . -}}
{{- $picked := dict -}}
{{- range last . -}}
{{- if hasKey $lane . -}}
{{- $value := get $lane . -}}
{{- if not (kindIs "invalid" $value) -}}{{- $_ := set $picked . $value -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $picked -}}
{{- end -}}

{{/* What of the catalogue a lane's workers go by: their own fields, and where other lanes are. Pods of
     other lanes are left alone when one lane changes its concurrency: (list $ NAME) */}}
{{- define "laneway.catalogueChecksum" -}}
{{- $lanes := include "laneway.lanes" (first .) | fromYaml -}}
{{- $seen := dict -}}
{{- range $name, $lane := $lanes -}}
{{- $_ := set $seen $name (include "laneway.picked" (list $lane (list "tasks" "broker" "maxLength" "timeLimit"))) -}}
{{- end -}}
{{- $own := get $lanes (last .) | default dict -}}
{{- $known := include "laneway.catalogueFields" . | fromYamlArray -}}
{{- printf "%s%s" (toYaml $seen) (include "laneway.picked" (list (omit $own "autoscaling") $known)) | sha256sum -}}
{{- end -}}
