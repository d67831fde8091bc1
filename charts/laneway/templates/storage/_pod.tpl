{{- define "laneway.storagePod" -}}
{{- $storage := .Values.storage.embedded -}}
metadata:
  {{- include "laneway.podMetadata" (list (list . "storage") dict dict) | nindent 2 }}
spec:
  {{- include "laneway.podSpec" (list . (include "laneway.part" (list . "storage"))) | nindent 2 }}
  terminationGracePeriodSeconds: 30
  initContainers:
    # A folder below the server's is a bucket.
    - {{ include "laneway.container" (list . "bucket") | nindent 6 | trim }}
      command: [python, -c, "import os; [os.makedirs(p, exist_ok=True) for p in ('/data/buckets/laneway', '/data/meta')]"]
      resources:
        requests: {cpu: 10m, memory: 32Mi}
        limits: {memory: 128Mi}
      volumeMounts:
        - {name: data, mountPath: /data}
  containers:
    - name: storage
      image: {{ include "laneway.image" (dict "image" $storage.image "tag" "") }}
      imagePullPolicy: {{ $storage.image.pullPolicy }}
      command: [versitygw, --port, ":7070", --health, /healthz, --quiet, posix, --sidecar, /data/meta, /data/buckets]
      securityContext:
        {{- toYaml .Values.containerSecurityContext | nindent 8 }}
      env:
        # It takes its keys from nowhere else.
        - {name: ROOT_ACCESS_KEY, valueFrom: {secretKeyRef: {name: {{ include "laneway.storageSecret" . | quote }}, key: access-key}}}
        - {name: ROOT_SECRET_KEY, valueFrom: {secretKeyRef: {name: {{ include "laneway.storageSecret" . | quote }}, key: secret-key}}}
      ports:
        - {name: s3, containerPort: 7070}
      startupProbe:
        httpGet: {path: /healthz, port: s3}
        periodSeconds: 1
        failureThreshold: 60
      livenessProbe:
        httpGet: {path: /healthz, port: s3}
        periodSeconds: 10
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /healthz, port: s3}
        periodSeconds: 2
      resources:
        {{- toYaml $storage.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: {{ .Values.tmpSize }}}
{{- end -}}
