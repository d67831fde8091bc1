{{/* Everything that is wrong with the values, said at once. Each check tells what, where, and the cure. */}}
{{- define "laneway.validate" -}}
{{- $wrong := list -}}
{{- range list "lanes" "names" "redis" "storage" "mail" "gateway" "settings" "metrics" "pods" -}}
{{- range include (printf "laneway.validate.%s" .) $ | fromYamlArray -}}
{{- $wrong = append $wrong . -}}
{{- end -}}
{{- end -}}
{{- if $wrong -}}
{{- fail (printf "\n\nThe values cannot be used:\n  - %s\n" (join "\n  - " $wrong)) -}}
{{- end -}}
{{- end -}}

{{- define "laneway.validate.lanes" -}}
{{- $lanes := include "laneway.lanes" . | fromYaml -}}
{{- if not $lanes }}
- {{ "queues: names no lane. Name at least one." | quote }}
{{- end }}
{{- range $name, $lane := $lanes }}
{{- $drain := include "laneway.drainSeconds" $lane | int }}
{{- $margin := include "laneway.drainMargin" $lane | int }}
{{- $grace := include "laneway.graceSeconds" $lane | int }}
{{- if lt $grace (add $drain $margin | int) }}
- {{ printf "queues.%s.terminationGracePeriodSeconds is %d, less than the lane's drain of %d s and a margin of %d s, so Kubernetes would kill a worker that still drains. Set it to at least %d, or leave it out." $name $grace $drain $margin (add $drain $margin) | quote }}
{{- end }}
{{- if and (lt $drain (int $lane.timeLimit)) (not $lane.allowShortDrain) }}
- {{ printf "queues.%s.drainSeconds is %d, less than its timeLimit of %d s, so a rolling upgrade would cut tasks off that are within their limit. Raise it, or set allowShortDrain: true if its tasks may start anew." $name $drain (int $lane.timeLimit) | quote }}
{{- end }}
{{- if ge (int $lane.softTimeLimit) (int $lane.timeLimit) }}
- {{ printf "queues.%s.softTimeLimit is %d, not below its timeLimit of %d s, so a task would be killed before it is warned. Lower the one or raise the other." $name (int $lane.softTimeLimit) (int $lane.timeLimit) | quote }}
{{- end }}
{{- $lease := default 60 $lane.leaseSeconds }}
{{- $timeout := include "laneway.brokerTimeoutS" $ | float64 }}
{{- if le (float64 $lease) (addf $timeout 1) }}
- {{ printf "queues.%s.leaseSeconds is %v, and a worker renews its lease each second and waits up to settings.broker_timeout_s of %v s for Redis's answer, so one that does not come would cost it the lease, and what it runs would start elsewhere too. Raise the one above the other and a second." $name $lease $timeout | quote }}
{{- end }}
{{- with $lane.autoscaling }}
{{- if gt (int (default 1 .minReplicas)) (int (default 10 .maxReplicas)) }}
- {{ printf "queues.%s.autoscaling.minReplicas is %d, above maxReplicas of %d. Lower the one or raise the other." $name (int .minReplicas) (int (default 10 .maxReplicas)) | quote }}
{{- end }}
{{- end }}
{{- if and $lane.broker (not (hasKey $.Values.redis.others $lane.broker)) }}
- {{ printf "queues.%s.broker is %q, which redis.others does not name. Add it there, or remove the field." $name $lane.broker | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "laneway.validate.names" -}}
{{- $begin := include "laneway.fullname" . }}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $begin) }}
- {{ printf "fullnameOverride: the names of objects would begin with %q, but a Service's is of lower-case letters, digits and hyphens, and begins with a letter. Set fullnameOverride, or name the release so." $begin | quote }}
{{- end }}
{{- /* A StatefulSet's pod has its name, a hyphen and ten digits in a label, and labels end at 63. */}}
{{- $own := dict "redis" (dict "used" (not .Values.redis.external.url) "most" 52) "storage" (dict "used" (not .Values.storage.external.url) "most" 52) "mail-sink" (dict "used" (not .Values.mail.host) "most" 63) }}
{{- range $part, $of := $own }}
{{- $full := include "laneway.part" (list $ $part) }}
{{- if and $of.used (gt (len $full) $of.most) }}
- {{ printf "fullnameOverride: the %s of this release would be called %s, which has %d characters; %d are allowed. Shorten the release's name, or set fullnameOverride." $part $full (len $full) $of.most | quote }}
{{- end }}
{{- end }}
{{- $names := include "laneway.lanes" . | fromYaml | keys | sortAlpha }}
{{- range $name := $names }}
{{- range $other := $names }}
{{- if hasPrefix (printf "%s-" $name) $other }}
- {{ printf "queues: %s is the beginning of %s, so what names the pods of the one by their beginning means both. Rename one." $name $other | quote }}
{{- end }}
{{- end }}
{{- $full := include "laneway.worker" (list $ $name) }}
{{- if gt (len $full) 63 }}
- {{ printf "queues: the workers of %s would be called %s, which has %d characters; 63 are allowed. Shorten the lane's or the release's name, or set fullnameOverride." $name $full (len $full) | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "laneway.validate.redis" -}}
{{- $redis := .Values.redis -}}
{{- $urls := dict "redis.external.url" $redis.external.url "redis.results.url" $redis.results.url }}
{{- range $name, $other := $redis.others }}
{{- $_ := set $urls (printf "redis.others.%s.url" $name) $other.url }}
{{- end }}
{{- range $place, $url := $urls }}
{{- if and $url (not (regexMatch "^(rediss?|sentinel)://" $url)) }}
- {{ printf "%s does not begin with redis://, rediss:// or sentinel://, which is all that workers can connect to. Correct it." $place | quote }}
{{- end }}
{{- if and (hasPrefix "sentinel://" $url) (not (regexMatch "[?&]master=[^&]" $url)) }}
- {{ printf "%s names Sentinels and no primary. Add what they call it, as in sentinel://host:26379/0?master=NAME." $place | quote }}
{{- end }}
{{- if regexMatch "^[a-z]+://[^@/]*:[^@/]*@" $url }}
- {{ printf "%s holds a password, which everybody could read in a ConfigMap. Put it into a Secret and name that in %sexistingSecret." $place (trimSuffix "url" $place) | quote }}
{{- end }}
{{- end }}
{{- if and $redis.external.caSecret (not (regexMatch "(^|,)rediss://" (values $urls | join ","))) }}
- {{ "redis.external.caSecret is given, and no Redis is named by a rediss:// URL, so nothing would be encrypted or checked. Correct the URL, or remove the CA." | quote }}
{{- end }}
{{- range $place := list "external" "results" }}
{{- with get $redis $place }}
{{- if and .username (not .existingSecret) }}
- {{ printf "redis.%s.username is given without a password, and so nobody would log in as it. Name a Secret with the password in redis.%s.existingSecret, or remove the user." $place $place | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- with $redis.external }}
{{- if and (not .url) (or .username .existingSecret) }}
- {{ "redis.external.url is empty, so the release's own Redis is used, but a user or a Secret is given for another. Set the URL, or remove them." | quote }}
{{- end }}
{{- if and .url (eq .users "perRole") (not .existingSecret) }}
- {{ "redis.external.users is perRole, which takes a password for each user. Name a Secret with one key a user in redis.external.existingSecret: `laneway acl` lists them." | quote }}
{{- end }}
{{- if and .url (eq .users "perRole") .username }}
- {{ "redis.external.username is given, and users is perRole, which names the users. Remove the one, or set users: single." | quote }}
{{- end }}
{{- end }}
{{- if $redis.external.url }}
{{- if $redis.embedded.existingSecret }}
- {{ "redis.embedded.existingSecret is given, and so is redis.external.url, in whose place no Redis is started. Remove one; the Secret of your own Redis goes into redis.external.existingSecret." | quote }}
{{- end }}
{{- end }}
{{- $most := include "laneway.bytes" $redis.embedded.maxmemory | int64 }}
{{- $limit := get ($redis.embedded.resources.limits | default dict) "memory" }}
{{- $room := include "laneway.bytes" $limit | int64 }}
{{- if and (not $redis.external.url) $room (ge $most $room) }}
- {{ printf "redis.embedded.maxmemory is %s, not below the pod's memory limit of %s in redis.embedded.resources, so Redis would be killed before it refuses tasks. Lower the one or raise the other." $redis.embedded.maxmemory (toString $limit) | quote }}
{{- end }}
{{- range $given, $value := $redis.embedded.config }}
{{- /* Redis does not tell capitals apart. */}}
{{- $name := lower $given }}
{{- if or (and (eq $name "maxmemory-policy") (ne $value "noeviction")) (and (eq $name "appendonly") (ne $value "yes")) }}
- {{ printf "redis.embedded.config.%s is %q, by which Redis would lose tasks. Leave it out: it is %s." $given $value (ternary "noeviction" "yes" (eq $name "maxmemory-policy")) | quote }}
{{- end }}
{{- if has $name (list "aclfile" "dir" "bind" "port" "maxmemory") }}
- {{ printf "redis.embedded.config.%s is what the chart sets itself. Leave it out%s." $given (ternary "; redis.embedded.maxmemory sets it" "" (eq $name "maxmemory")) | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Bytes of an amount of memory, as Kubernetes or Redis writes it; 0 if it is none. */}}
{{- define "laneway.bytes" -}}
{{- $text := ternary (printf "%.0f" (float64 .)) (toString .) (kindIs "float64" .) -}}
{{- $number := regexFind "^[0-9]+(\\.[0-9]+)?" $text -}}
{{- $units := dict "" 1 "k" 1e3 "M" 1e6 "G" 1e9 "T" 1e12 "kb" 1024 "Ki" 1024 "mb" 1048576 "Mi" 1048576 "gb" 1073741824 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{- $unit := trimPrefix $number $text -}}
{{- if and $number (hasKey $units $unit) }}{{ printf "%.0f" (mulf $number (get $units $unit)) }}{{ else }}0{{ end -}}
{{- end -}}

{{- define "laneway.validate.storage" -}}
{{- with .Values.storage }}
{{- if and .external.url .embedded.existingSecret }}
- {{ "storage.embedded.existingSecret is given, and so is storage.external.url, in whose place no server is started. Remove one; the keys of your own storage go into storage.external.existingSecret." | quote }}
{{- end }}
{{- if and (not .external.url) (or .external.endpoint .external.existingSecret) }}
- {{ "storage.external.url is empty, but its endpoint or existingSecret is given. Set it to s3://bucket/prefix, or remove them." | quote }}
{{- end }}
{{- end }}
{{- if hasPrefix "file://" .Values.storage.external.url }}
{{- $folder := trimPrefix "file://" .Values.storage.external.url }}
{{- $pods := dict "gateway" .Values.gateway }}
{{- range $name, $lane := include "laneway.lanes" . | fromYaml }}
{{- if $lane.storageAccess }}{{ $_ := set $pods (printf "queues.%s" $name) $lane }}{{ end }}
{{- end }}
{{- range $place, $pod := $pods }}
{{- $held := not (empty $pod.podTemplate) }}
{{- range $pod.extraVolumeMounts }}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) (printf "%s/" $folder) }}{{ $held = true }}{{ end }}
{{- end }}
{{- if not $held }}
- {{ printf "%s.extraVolumeMounts mounts nothing at %s, where storage.external.url lies, and nothing else there can be written. Add a volume that all pods share." $place $folder | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "laneway.validate.mail" -}}
{{- with .Values.mail }}
{{- if and (not .host) (or .username .existingSecret .caSecret) }}
- {{ "mail.host is empty, so mails go to the sink, but a login or a CA is given for it. Set the host, or remove them." | quote }}
{{- end }}
{{- if and .host (ne (not .username) (not .existingSecret)) }}
- {{ "mail.username and mail.existingSecret belong together. Give both, or neither." | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "laneway.validate.gateway" -}}
{{- with .Values.gateway.ingress }}
{{- if and .enabled (not .hosts) }}
- {{ "gateway.ingress is enabled without hosts. Name at least one in gateway.ingress.hosts." | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* How long an answer of Redis is awaited: the default is that of the code. */}}
{{- define "laneway.brokerTimeoutS" -}}
{{- default 5 .Values.settings.broker_timeout_s -}}
{{- end -}}

{{/* What no process would start with. */}}
{{- define "laneway.validate.settings" -}}
{{- with .Values.settings }}
{{- $chunk := default 1000 .chunk_chars }}
{{- $overlap := ternary .chunk_overlap_chars 100 (hasKey . "chunk_overlap_chars") }}
{{- if ge (int $overlap) (int $chunk) }}
- {{ printf "settings.chunk_overlap_chars is %d, not below settings.chunk_chars of %d, so chunks would not move on. Lower the one or raise the other." (int $overlap) (int $chunk) | quote }}
{{- end }}
{{- $timeout := include "laneway.brokerTimeoutS" $ | float64 }}
{{- if ge (float64 (default 0 .gateway_wait_ms)) (mulf $timeout 1000) }}
- {{ printf "settings.gateway_wait_ms is %d, not below settings.broker_timeout_s of %v s, which would cut the wait off. Lower the one or raise the other." (int .gateway_wait_ms) $timeout | quote }}
{{- end }}
{{- if and (eq (default "local" .embedder) "openai") (not .embedding_url) }}
- {{ "settings.embedder is openai, and settings.embedding_url is not given. Add the endpoint's URL, up to and with /v1." | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "laneway.validate.metrics" -}}
{{- with .Values.metrics }}
{{- $shown := dict "podMonitor.enabled" .podMonitor.enabled "annotations" .annotations "prometheusRule.enabled" .prometheusRule.enabled "dashboards.enabled" .dashboards.enabled }}
{{- range $name, $on := ternary dict $shown .enabled }}
{{- if $on }}
- {{ printf "metrics.%s is true, and metrics.enabled is false, so there would be nothing to see. Set metrics.enabled to true, or metrics.%s to false." $name $name | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What selects pods may not be changed: they would belong to nobody, or to another. */}}
{{- define "laneway.validate.pods" -}}
{{- $places := dict "gateway.podTemplate" .Values.gateway.podTemplate "redis.embedded.podTemplate" .Values.redis.embedded.podTemplate "storage.embedded.podTemplate" .Values.storage.embedded.podTemplate "commonLabels" (dict "metadata" (dict "labels" .Values.commonLabels)) }}
{{- range $name, $lane := include "laneway.lanes" . | fromYaml }}
{{- $_ := set $places (printf "queues.%s.podTemplate" $name) $lane.podTemplate }}
{{- $_ := set $places (printf "queues.%s.podLabels" $name) (dict "metadata" (dict "labels" $lane.podLabels)) }}
{{- end }}
{{- range $place, $template := $places }}
{{- $labels := ($template.metadata | default dict).labels | default dict }}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "laneway/queue" }}
{{- if hasKey $labels $label }}
- {{ printf "%s sets the label %s, by which pods are told apart. Remove it." $place $label | quote }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $lane := include "laneway.lanes" . | fromYaml }}
{{- if hasKey ($lane.podTemplate.spec | default dict) "terminationGracePeriodSeconds" }}
- {{ printf "queues.%s.podTemplate sets terminationGracePeriodSeconds, which nothing would hold against the lane's drain. Set queues.%s.terminationGracePeriodSeconds." $name $name | quote }}
{{- end }}
{{- end }}
{{- with .Values.settingsSecret }}
{{- if ne (not .name) (not .keys) }}
- {{ "settingsSecret.name and settingsSecret.keys belong together. Give both, or neither." | quote }}
{{- end }}
{{- end }}
{{- end -}}
