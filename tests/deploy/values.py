"""Each value of the chart, tried: what is set, and where it is seen in what is rendered."""

from typing import Any

from tests.deploy.rendering import container, environment, one, pod, rendered

ENTRY = {"name": "AWS_REGION", "value": "eu-central-1"}
PEER = {"namespaceSelector": {"matchLabels": {"team": "line-4"}}}
RULE = {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
PACKED = {"version": "parts/3", "reference": "registry.example.com/models/parts:3"}
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
FETCH = {
    "image": "registry.example.com/aws-cli:2",
    "args": ["s3", "sync", "s3://models", "/models"],
    "env": [{"name": "HOME", "value": "/tmp"}],
    "envFrom": [{"secretRef": {"name": "bucket"}}],
}


def update(**values: Any) -> Any:
    return one("Deployment", update=values)["spec"]["strategy"]["rollingUpdate"]


def audit(**values: Any) -> dict[str, Any]:
    return one("CronJob", audit={"enabled": True, **values})["spec"]


def job(**values: Any) -> dict[str, Any]:
    found: dict[str, Any] = audit(**values)["jobTemplate"]["spec"]["template"]["spec"]
    return found


def told(**values: Any) -> dict[str, Any]:
    """The environment of the job's container, whatever each entry is."""
    return {each["name"]: each for each in job(**values)["containers"][0]["env"]}


def volumes(found: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in found["volumes"]}


def mounts(**values: Any) -> dict[str, str]:
    return {each["name"]: each["mountPath"] for each in container(**values)["volumeMounts"]}


def scaled(**values: Any) -> dict[str, Any]:
    found: dict[str, Any] = one("HorizontalPodAutoscaler", autoscaling={"enabled": True, **values})[
        "spec"
    ]
    return found


def monitored(**values: Any) -> dict[str, Any]:
    return one("ServiceMonitor", serviceMonitor={"enabled": True, **values})


def policy(**values: Any) -> dict[str, Any]:
    found: dict[str, Any] = one("NetworkPolicy", networkPolicy=values)["spec"]
    return found


def port(name: str, **values: Any) -> Any:
    found = one("Service", service=values)["spec"]["ports"]
    return next(each["port"] for each in found if each["name"] == name)


def kinds(**values: Any) -> set[str]:
    return {each["kind"] for each in rendered(**values)}


SECRET = {"secret": "line-4"}
TRIED: dict[str, Any] = {
    "device": lambda: environment(device="gpu")["ORBITSERVE_DEVICE"] == "cuda",
    "replicas": lambda: one("Deployment", replicas=5)["spec"]["replicas"] == 5,
    "image.repository": lambda: container(image={"repository": "r/o"})["image"] == "r/o:cpu",
    "image.tag": lambda: container(image={"tag": "1.2"})["image"] == "orbitserve:1.2",
    "image.digest": lambda: (
        container(image={"digest": DIGEST})["image"] == f"orbitserve@{DIGEST}"
        and container(image={"digest": DIGEST, "tag": "1.2"})["image"] == f"orbitserve:1.2@{DIGEST}"
    ),
    "image.pullPolicy": lambda: (
        container(image={"pullPolicy": "Always"})["imagePullPolicy"] == "Always"
    ),
    "image.pullSecrets": lambda: (
        pod(image={"pullSecrets": ["a", "b"]})["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}]
    ),
    "models.claim": lambda: (
        volumes(pod(models={"claim": "own"}))["models"]["persistentVolumeClaim"]["claimName"]
        == "own"
    ),
    "models.images": lambda: (
        volumes(pod(models={"images": [PACKED]}))["model-0"]["image"]["reference"]
        == PACKED["reference"]
    ),
    "models.fetch": lambda: (
        {**pod(models={"fetch": FETCH})["initContainers"][0], **FETCH}
        == pod(models={"fetch": FETCH})["initContainers"][0]
    ),
    "models.default": lambda: (
        environment(models={"default": "parts"})["ORBITSERVE_DEFAULT_MODEL"] == "parts"
    ),
    "settings.LOAD_MEMORY": lambda: (
        environment(settings={"LOAD_MEMORY": 512})["ORBITSERVE_LOAD_MEMORY"] == "512"
    ),
    "env": lambda: ENTRY in container(env=[ENTRY])["env"],
    "volumes": lambda: "cache" in volumes(pod(volumes=[{"name": "cache", "emptyDir": {}}])),
    "volumeMounts": lambda: (
        mounts(volumeMounts=[{"name": "cache", "mountPath": "/cache"}])["cache"] == "/cache"
    ),
    "apiKeys.secret": lambda: (
        environment(apiKeys=SECRET)["ORBITSERVE_API_KEYS"] == "/etc/orbitserve/keys/keys"
    ),
    "apiKeys.file": lambda: environment(apiKeys={**SECRET, "file": "k"})[
        "ORBITSERVE_API_KEYS"
    ].endswith("/k"),
    "signatures.secret": lambda: (
        volumes(pod(signatures=SECRET))["signatures"]["secret"]["secretName"] == "line-4"
    ),
    "signatures.file": lambda: environment(signatures={**SECRET, "file": "p.pem"})[
        "ORBITSERVE_PUBLIC_KEY"
    ].endswith("/p.pem"),
    "resources.requests": lambda: (
        container(resources={"requests": {"cpu": "3"}})["resources"]["requests"]["cpu"] == "3"
    ),
    "resources.limits": lambda: (
        container(resources={"limits": {"memory": "9Gi"}})["resources"]["limits"]["memory"] == "9Gi"
    ),
    "gpu.count": lambda: (
        container(device="gpu", gpu={"count": 8, "resource": "example.com/gpu-gib"})["resources"][
            "limits"
        ]["example.com/gpu-gib"]
        == 8
    ),
    "gpu.resource": lambda: (
        container(device="gpu", gpu={"resource": "nvidia.com/mig-1g.18gb"})["resources"]["limits"][
            "nvidia.com/mig-1g.18gb"
        ]
        == 1
    ),
    "gpu.runtimeClass": lambda: (
        pod(device="gpu", gpu={"runtimeClass": "nvidia"})["runtimeClassName"] == "nvidia"
    ),
    "service.type": lambda: (
        one("Service", service={"type": "LoadBalancer"})["spec"]["type"] == "LoadBalancer"
    ),
    "service.httpPort": lambda: port("http", httpPort=80) == 80,
    "service.grpcPort": lambda: port("grpc", grpcPort=81) == 81,
    "service.annotations": lambda: (
        one("Service", service={"annotations": {"a": "b"}})["metadata"]["annotations"] == {"a": "b"}
    ),
    "drainSeconds": lambda: (
        environment(drainSeconds=9)["ORBITSERVE_SHUTDOWN_DELAY_SECONDS"] == "9"
        and pod(drainSeconds=9)["terminationGracePeriodSeconds"] > 9 + 20
    ),
    "shutdownSeconds": lambda: (
        environment(shutdownSeconds=90)["ORBITSERVE_SHUTDOWN_SECONDS"] == "90"
        and pod(shutdownSeconds=90)["terminationGracePeriodSeconds"] > 90 + 5
    ),
    "update.maxSurge": lambda: update(maxSurge="50%")["maxSurge"] == "50%",
    "update.maxUnavailable": lambda: update(maxUnavailable=1)["maxUnavailable"] == 1,
    "autoscaling.enabled": lambda: (
        scaled()["scaleTargetRef"]["name"] == "orbitserve"
        and "replicas" not in one("Deployment", autoscaling={"enabled": True})["spec"]
    ),
    "autoscaling.minReplicas": lambda: scaled(minReplicas=3)["minReplicas"] == 3,
    "autoscaling.maxReplicas": lambda: scaled(maxReplicas=30)["maxReplicas"] == 30,
    "autoscaling.waitingImages": lambda: (
        scaled(waitingImages=7)["metrics"][0]["pods"]["target"]["averageValue"] == "7"
        and len(scaled(waitingImages=0)["metrics"]) == 1
    ),
    "autoscaling.cpuPercent": lambda: (
        scaled(cpuPercent=55)["metrics"][1]["resource"]["target"]["averageUtilization"] == 55
        and len(scaled(cpuPercent=0)["metrics"]) == 1
    ),
    "disruptionBudget.enabled": lambda: (
        "PodDisruptionBudget" not in kinds(disruptionBudget={"enabled": False})
    ),
    "disruptionBudget.maxUnavailable": lambda: (
        one("PodDisruptionBudget", disruptionBudget={"maxUnavailable": "25%"})["spec"][
            "maxUnavailable"
        ]
        == "25%"
    ),
    "networkPolicy.enabled": lambda: "NetworkPolicy" not in kinds(networkPolicy={"enabled": False}),
    "networkPolicy.from": lambda: policy(**{"from": [PEER]})["ingress"][0]["from"] == [PEER],
    "networkPolicy.egress": lambda: (
        policy(egress=[RULE])["egress"] == [RULE] and "egress" not in policy()
    ),
    "serviceMonitor.enabled": lambda: monitored()["spec"]["endpoints"][0]["path"] == "/metrics",
    "serviceMonitor.interval": lambda: (
        monitored(interval="1m")["spec"]["endpoints"][0]["interval"] == "1m"
    ),
    "serviceMonitor.labels": lambda: (
        monitored(labels={"release": "p"})["metadata"]["labels"]["release"] == "p"
    ),
    "serviceMonitor.secret": lambda: (
        monitored(**SECRET)["spec"]["endpoints"][0]["authorization"]["credentials"]["name"]
        == "line-4"
    ),
    "serviceMonitor.key": lambda: (
        monitored(**SECRET, key="k")["spec"]["endpoints"][0]["authorization"]["credentials"]["key"]
        == "k"
    ),
    "audit.enabled": lambda: (
        "CronJob" not in kinds() and "CronJob" in kinds(audit={"enabled": True})
    ),
    "audit.schedule": lambda: audit(schedule="1 1 * * 1")["schedule"] == "1 1 * * 1",
    "audit.timeZone": lambda: audit(timeZone="Europe/Berlin")["timeZone"] == "Europe/Berlin",
    "audit.model": lambda: told(model="parts")["SERVICE"]["value"].endswith("/models/parts"),
    "audit.images": lambda: (
        told(images="/images", imagesClaim="photos")["IMAGES"]["value"] == "/images"
    ),
    "audit.imagesClaim": lambda: (
        volumes(job(imagesClaim="photos"))["images"]["persistentVolumeClaim"]["claimName"]
        == "photos"
    ),
    "audit.storage": lambda: (
        one("PersistentVolumeClaim", audit={"enabled": True, "storage": "5Gi"})["spec"][
            "resources"
        ]["requests"]["storage"]
        == "5Gi"
    ),
    "audit.apiKeySecret": lambda: (
        told(apiKeySecret="a")["ORBITSERVE_API_KEY"]["valueFrom"]["secretKeyRef"]["name"] == "a"
    ),
    "audit.signerSecret": lambda: (
        volumes(job(signerSecret="s"))["signing"]["secret"]["secretName"] == "s"
    ),
    "podAnnotations": lambda: (
        one("Deployment", podAnnotations={"a": "b"})["spec"]["template"]["metadata"]["annotations"]
        == {"a": "b"}
    ),
    "nodeSelector": lambda: pod(nodeSelector={"pool": "gpu"})["nodeSelector"] == {"pool": "gpu"},
    "tolerations": lambda: (
        pod(tolerations=[{"operator": "Exists"}])["tolerations"] == [{"operator": "Exists"}]
    ),
}
