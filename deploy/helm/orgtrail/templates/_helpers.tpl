{{/* What the processes have in common. Each is called with (dict "root" $ "name" "aggregator" "values" .Values.aggregator); the
     aggregator's with "console" .Values.console, too. */}}

{{- define "orgtrail.name" -}}
{{- printf "%s-%s" .root.Release.Name .name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "orgtrail.selector" -}}
app.kubernetes.io/name: orgtrail
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "orgtrail.labels" -}}
{{ include "orgtrail.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "orgtrail.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "orgtrail.name" . }}
  labels:
    {{- include "orgtrail.labels" . | nindent 4 }}
  {{- with .values.serviceAccountAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{- define "orgtrail.configMap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ include "orgtrail.name" . }}
  labels:
    {{- include "orgtrail.labels" . | nindent 4 }}
data:
  {{ .name }}.toml: |
    {{- .values.config | nindent 4 }}
{{- end -}}

{{/* Beside the aggregator. No readiness of its own: the pod's is about deliveries. */}}
{{- define "orgtrail.consoleContainer" -}}
- name: console
  image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: ["orgtrail-console", "--config", "/etc/orgtrail/console.toml"]
  {{- with .console.env }}
  env:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - name: console-health
      containerPort: 9466
  livenessProbe:
    httpGet: { path: /healthz, port: console-health }
    periodSeconds: 10
    failureThreshold: 6
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities:
      drop: [ALL]
  resources:
    {{- toYaml .console.resources | nindent 4 }}
  volumeMounts:
    # For public-keys.json, which is replaced as a whole: a mount of the file would not follow.
    - name: state
      mountPath: /var/lib/orgtrail
      readOnly: true
    - name: console-config
      mountPath: /etc/orgtrail/console.toml
      subPath: console.toml
      readOnly: true
{{- end -}}

{{/* One pod with a volume of its own: neither process shares its state folder. */}}
{{- define "orgtrail.statefulSet" -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ include "orgtrail.name" . }}
  labels:
    {{- include "orgtrail.labels" . | nindent 4 }}
spec:
  replicas: 1
  serviceName: {{ include "orgtrail.name" . }}
  # A pod that is not ready, because a bucket refuses it, must not keep its own repair from being rolled out.
  podManagementPolicy: Parallel
  selector:
    matchLabels:
      {{- include "orgtrail.selector" . | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "orgtrail.labels" . | nindent 8 }}
      annotations:
        checksum/config: {{ .values.config | sha256sum }}
        {{- if (.console).enabled }}
        checksum/console: {{ .console.config | sha256sum }}
        {{- end }}
    spec:
      serviceAccountName: {{ include "orgtrail.name" . }}
      {{- with .root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      # Above grace_period, 20 s.
      terminationGracePeriodSeconds: 40
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        fsGroup: 65532
        fsGroupChangePolicy: OnRootMismatch
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: {{ .name }}
          image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          command: ["orgtrail-{{ .name }}", "--config", "/etc/orgtrail/{{ .name }}.toml"]
          {{- with .values.env }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            {{- if eq .name "aggregator" }}
            - name: ingest
              containerPort: 7443
            {{- end }}
            - name: health
              containerPort: 9464
          # Opening a large journal comes before the pages are served.
          startupProbe:
            httpGet: { path: /healthz, port: health }
            periodSeconds: 5
            failureThreshold: 120
          # Fails only when a watched loop is stuck, which a restart may cure.
          livenessProbe:
            httpGet: { path: /healthz, port: health }
            periodSeconds: 10
            failureThreshold: 6
          # Fails while any part is degraded, and says which.
          readinessProbe:
            httpGet: { path: /readyz, port: health }
            periodSeconds: 10
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            capabilities:
              drop: [ALL]
          resources:
            {{- toYaml .values.resources | nindent 12 }}
          volumeMounts:
            - name: state
              mountPath: /var/lib/orgtrail
            - name: config
              mountPath: /etc/orgtrail/{{ .name }}.toml
              subPath: {{ .name }}.toml
              readOnly: true
            {{- if .values.tlsSecret }}
            - name: tls
              mountPath: /etc/orgtrail/tls
              readOnly: true
            {{- end }}
        {{- if (.console).enabled }}
        {{- include "orgtrail.consoleContainer" . | nindent 8 }}
        {{- end }}
      volumes:
        - name: config
          configMap:
            name: {{ include "orgtrail.name" . }}
        {{- if (.console).enabled }}
        - name: console-config
          configMap:
            name: {{ include "orgtrail.name" (dict "root" .root "name" "console") }}
        {{- end }}
        {{- if .values.tlsSecret }}
        - name: tls
          secret:
            secretName: {{ .values.tlsSecret }}
            defaultMode: 0440
        {{- end }}
      {{- with .values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .values.affinity }}
      affinity:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  volumeClaimTemplates:
    - metadata:
        name: state
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .values.storage.className }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests:
            storage: {{ .values.storage.size }}
{{- end -}}
