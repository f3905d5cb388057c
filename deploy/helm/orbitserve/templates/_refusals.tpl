{{- /* Values that the schema takes one by one, and that do not go together. */ -}}
{{- define "orbitserve.check" -}}
{{- if not (regexMatch "^[a-z]" .Release.Name) }}
{{- fail (printf "The release is called %s, and a Service's name begins with a letter; so should the release's." .Release.Name) }}
{{- end }}
{{- if gt (len (compact (list .Values.models.claim (len .Values.models.images) (len .Values.models.fetch)))) 1 }}
{{- fail "models.claim, models.images and models.fetch each say where models come from; one of them is accepted." }}
{{- end }}
{{- range $version, $images := include "orbitserve.versions" . | fromJson }}
{{- if gt (len $images) 1 }}
{{- fail (printf "models.images has the version %s from %s; one image of a version is accepted." $version (join " and from " $images)) }}
{{- end }}
{{- end }}
{{- with .Values.settings.HOST }}
{{- if not (has . (list "0.0.0.0" "::")) }}
{{- fail (printf "settings.HOST is %s, where no probe of Kubernetes asks; 0.0.0.0 is accepted, and :: in a cluster of IPv6." .) }}
{{- end }}
{{- end }}
{{- if and (eq .Values.device "gpu") (eq .Values.gpu.resource "nvidia.com/gpu") (gt (int .Values.gpu.count) 1) }}
{{- fail (printf "gpu.count is %d, and a pod computes on one GPU; more replicas take more." (int .Values.gpu.count)) }}
{{- end }}
{{- if eq (int .Values.service.httpPort) (int .Values.service.grpcPort) }}
{{- fail (printf "service.httpPort and service.grpcPort are both %d; two ports are accepted." (int .Values.service.httpPort)) }}
{{- end }}
{{- if and (has (toString .Values.update.maxSurge) (list "0" "0%")) (has (toString .Values.update.maxUnavailable) (list "0" "0%")) }}
{{- fail "update.maxSurge and update.maxUnavailable are both 0, which leaves an update no pod to begin with; one above 0 is accepted." }}
{{- end }}
{{- if .Values.autoscaling.enabled }}
{{- if not (or .Values.autoscaling.waitingImages .Values.autoscaling.cpuPercent) }}
{{- fail "autoscaling.enabled needs autoscaling.waitingImages or autoscaling.cpuPercent above 0." }}
{{- end }}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) }}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas; at most as many are accepted." }}
{{- end }}
{{- if and .Values.autoscaling.cpuPercent (not (dig "requests" "cpu" "" .Values.resources)) }}
{{- fail "autoscaling.cpuPercent is of the CPU that a pod requests, and resources.requests.cpu is not set; 0 does not ask for it." }}
{{- end }}
{{- end }}
{{- if and .Values.serviceMonitor.enabled .Values.apiKeys.secret (not .Values.serviceMonitor.secret) }}
{{- fail "serviceMonitor.enabled with apiKeys.secret needs serviceMonitor.secret, a Secret with a key that Prometheus sends." }}
{{- end }}
{{- if and .Values.audit.enabled (regexMatch "^/images(/|$)" .Values.audit.images) (not .Values.audit.imagesClaim) }}
{{- fail (printf "audit.images is %s, and audit.imagesClaim names no claim that is mounted there." .Values.audit.images) }}
{{- end }}
{{- $names := list }}
{{- range .Values.env }}
{{- if and (hasPrefix "ORBITSERVE_" (upper .name)) (ne .name "ORBITSERVE_SHADOW_SALT") }}
{{- fail (printf "env has %s; what the service is told is said by settings, without ORBITSERVE_, or by another value." .name) }}
{{- end }}
{{- if has .name $names }}
{{- fail (printf "env has %s twice; one of them is accepted." .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- end }}
{{- end -}}

{{- define "orbitserve.versions" -}}
{{- $found := dict }}
{{- range .Values.models.images }}
{{- $_ := set $found .version (append (get $found .version | default list) .reference) }}
{{- end }}
{{- toJson $found }}
{{- end -}}
