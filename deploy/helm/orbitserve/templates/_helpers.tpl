{{- /* A Service's name has no dots. A CronJob's, six letters longer, has at most 52. */ -}}
{{- define "orbitserve.fullname" -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- $name := contains .Chart.Name $release | ternary $release (printf "%s-%s" $release .Chart.Name) -}}
{{- regexReplaceAll "-+$" ($name | trunc 46) "" -}}
{{- end -}}

{{- define "orbitserve.selector" -}}
app.kubernetes.io/name: orbitserve
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "orbitserve.labels" -}}
{{ include "orbitserve.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: orbitserve
{{- end -}}

{{- define "orbitserve.auditLabels" -}}
app.kubernetes.io/name: orbitserve-audit
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/part-of: orbitserve
{{- end -}}

{{- /* With the tag of the values, or else one of this name. */ -}}
{{- define "orbitserve.image" -}}
{{- $image := .root.Values.image -}}
{{- $tag := $image.tag | default (not $image.digest | ternary .tag "") -}}
{{ $image.repository }}{{ with $tag }}:{{ . }}{{ end }}{{ with $image.digest }}@{{ . }}{{ end }}
{{- end -}}

{{- /* A number of a values file is a float, and a large one would be written 1.048576e+08. */ -}}
{{- define "orbitserve.number" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}{{- int64 . -}}{{- else -}}{{- toString . -}}{{- end -}}
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
