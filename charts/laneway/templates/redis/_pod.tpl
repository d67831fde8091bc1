{{- define "laneway.redisConf" -}}
dir /data
bind * -::*
protected-mode no
appendonly yes
appendfsync everysec
save ""
maxmemory {{ .Values.redis.embedded.maxmemory }}
maxmemory-policy noeviction
aclfile /etc/laneway/redis/acl/users.acl
{{- range $name, $value := .Values.redis.embedded.config }}
{{ $name }} {{ $value }}
{{- end }}
{{- end -}}

{{/* What the users' rights follow from: a change of it makes Redis start anew. */}}
{{- define "laneway.redisUsersChecksum" -}}
{{- $seen := dict -}}
{{- range $name, $lane := include "laneway.lanes" . | fromYaml -}}
{{- $_ := set $seen $name (include "laneway.picked" (list $lane (list "tasks" "broker"))) -}}
{{- end -}}
{{- printf "%s%s%s%v" (toYaml $seen) .Values.redis.embedded.version (toYaml .Values.redis.others) .Values.settings.transport | sha256sum -}}
{{- end -}}

{{- define "laneway.redisPod" -}}
{{- $redis := .Values.redis.embedded -}}
{{- $checks := dict "checksum/config" (include "laneway.redisConf" . | sha256sum) "checksum/users" (include "laneway.redisUsersChecksum" .) -}}
metadata:
  {{- include "laneway.podMetadata" (list (list . "redis") dict $checks) | nindent 2 }}
spec:
  {{- include "laneway.podSpec" (list . (include "laneway.part" (list . "redis"))) | nindent 2 }}
  terminationGracePeriodSeconds: 60
  initContainers:
    - {{ include "laneway.container" (list . "users") | nindent 6 | trim }}
      args: [acl, --redis, {{ $redis.version | quote }}, --passwords, /etc/laneway/redis/passwords, --out, /etc/laneway/redis/acl/users.acl]
      env:
        - {name: LANEWAY_QUEUES_FILE, value: /etc/laneway/config/queues.yaml}
        - {name: LANEWAY_CONFIG_FILE, value: /etc/laneway/config/settings.yaml}
        - {name: HOME, value: /tmp}
      resources:
        requests: {cpu: 50m, memory: 128Mi}
        limits: {memory: 512Mi}
      volumeMounts:
        - {name: laneway, mountPath: /etc/laneway/config, readOnly: true}
        - {name: passwords, mountPath: /etc/laneway/redis/passwords, readOnly: true}
        - {name: acl, mountPath: /etc/laneway/redis/acl}
        - {name: tmp, mountPath: /tmp}
  containers:
    - name: redis
      image: {{ include "laneway.image" (dict "image" $redis.image "tag" "") }}
      imagePullPolicy: {{ $redis.image.pullPolicy }}
      command: [redis-server, /etc/laneway/redis/redis.conf]
      securityContext:
        {{- toYaml .Values.containerSecurityContext | nindent 8 }}
      ports:
        - {name: redis, containerPort: 6379}
      startupProbe:
        tcpSocket: {port: redis}
        periodSeconds: 1
        failureThreshold: 300
      livenessProbe:
        tcpSocket: {port: redis}
        periodSeconds: 10
        failureThreshold: 6
      readinessProbe:
        tcpSocket: {port: redis}
        periodSeconds: 2
      resources:
        {{- toYaml $redis.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: config, mountPath: /etc/laneway/redis/redis.conf, subPath: redis.conf, readOnly: true}
        - {name: acl, mountPath: /etc/laneway/redis/acl, readOnly: true}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: config
      configMap: {name: {{ include "laneway.part" (list . "redis") }}}
    - name: laneway
      configMap: {name: {{ include "laneway.part" (list . "config") }}}
    - name: passwords
      secret: {secretName: {{ include "laneway.redisSecret" . | quote }}, defaultMode: 0440}
    - name: acl
      emptyDir: {sizeLimit: 10Mi}
    - name: tmp
      emptyDir: {sizeLimit: 10Mi}
{{- end -}}
