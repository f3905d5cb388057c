{{- define "orbitserve.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "orbitserve.selector" -}}
app.kubernetes.io/name: orbitserve
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "orbitserve.labels" -}}
{{ include "orbitserve.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: orbitserve
{{- end -}}

{{- define "orbitserve.auditLabels" -}}
app.kubernetes.io/name: orbitserve-audit
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: orbitserve
{{- end -}}

{{- define "orbitserve.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Values.device }}
{{- end -}}

{{- define "orbitserve.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "orbitserve.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "orbitserve.pullSecrets" -}}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "orbitserve.elsewhere" -}}
{{- if or .Values.models.claim .Values.models.images .Values.models.fetch -}}true{{- end -}}
{{- end -}}
