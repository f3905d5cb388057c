"""The service's settings: one attribute each, read from `ORBITSERVE_<NAME>` or given by name."""

import re
import secrets
from pathlib import Path
from typing import Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from artifact.cpus import cpu_budget
from audit.proof import MEBIBYTE
from audit.proof import Limits as ProofLimits
from imaging.refusal import RefusedError
from service.engine import DEFAULT_LIMITS, Device, GpuOptions, Limits

PREFIX = "ORBITSERVE_"
"""Of the variables."""

_ROOT_PATH = re.compile("(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
_LOAD_SECONDS = 60.0
_PENDING_BYTES = 2**30
_MOST_MEBIBYTES = 2**40  # what a process may hold is set in bytes, which have 63 bits
_MOST_THREADS = 4096
_MOST_IN_A_BATCH = 2**31 - 1  # that the Open Inference Protocol can tell
_ENGINE_SECONDS = 1800.0  # TensorRT builds engines for minutes


ProofMode = Literal["enforce", "report", "off"]


class ConfigurationError(RefusedError):
    """The service cannot start as it is configured; the message is one sentence."""


class Settings(BaseSettings):
    """What can be configured, with the values that hold where nothing is said."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
    )

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` in a container; `::` listens on IPv4 and IPv6."""

    port: int = Field(default=8000, ge=0, le=65535)
    """Port to listen on; 0 takes a free one and logs which."""

    grpc_port: int | None = Field(default=None, ge=0, le=65535)
    """Port for the Open Inference Protocol over gRPC; without one it is not spoken."""

    workers: int = Field(default=1, ge=1, le=256)
    """Processes that serve, each with its share of the CPUs and its own copy of every model."""

    worker_timeout: NonNegativeFloat = 30.0
    """Seconds that a worker may hang, giving no sign of life, before it is killed and replaced; at
    least 2, or 0: for ever."""

    root_path: str = ""
    """Prefix that a proxy strips from paths before they come here, such as `/inspection`."""

    console: bool = True
    """Serve the page at `/` where a picture is turned and models are audited by hand."""

    keep_alive_seconds: PositiveInt = 75
    """How long a connection may be idle; longer than the balancer before the service allows."""

    repository: Path = Path("model_repository")
    """Folder of models, `<name>/<version>/{model.onnx,card.json,audit.npz}`."""

    default_model: str | None = None
    """Model behind `/classify`; the first name in the alphabet where none is given."""

    device: Device = "auto"
    """`cpu`; `cuda` or `tensorrt`, or no start; `auto`: CUDA where it starts, else the CPU."""

    proof: ProofMode = "report"
    """`report` proves and measures at load what a card claims, and warns of what is not so;
    `enforce` does not serve it; `off` takes the card's word."""

    proof_timeout: PositiveFloat = ProofLimits.seconds
    """Seconds that one proof may take."""

    proof_memory: int = Field(default=ProofLimits.memory // MEBIBYTE, gt=0, le=_MOST_MEBIBYTES)
    """MiB that one proof may hold."""

    load_timeout: PositiveFloat | None = None
    """Seconds that trying one version may take, its proof included; by default 60, with TensorRT
    1800, and no less than ORBITSERVE_PROOF_TIMEOUT."""

    load_memory: int = Field(default=4096, gt=0, le=_MOST_MEBIBYTES)
    """MiB that trying one version may take."""

    cache: Path | Literal["off"] | None = None
    """Folder where what was proved and measured at a load is kept for the next start; by default
    `orbitserve` in XDG_CACHE_HOME or `~/.cache`; `off` keeps nothing."""

    public_key: Path | None = None
    """PEM file: only versions that are signed by its private half are served."""

    certificate_roots: Path | None = None
    """PEM file: only versions that are signed with a certificate below these are served."""

    signing_key: Path | None = None
    """PEM file: the private key that audits' reports and the ledger's entries are signed with."""

    signing_certificate: Path | None = None
    """PEM file: the certificate of that key, and behind it those between it and a root."""

    threads: int | None = Field(default=None, gt=0, le=_MOST_THREADS)
    """Threads a session computes with; by default a worker's share of what the affinity mask and
    the cgroup allow."""

    max_batch_size: int = Field(default=DEFAULT_LIMITS.max_batch_size, gt=0, le=_MOST_IN_A_BATCH)
    """Most images in one request, and most that a model computes at once."""

    gpu_memory_bytes: int | None = Field(default=None, gt=0, lt=2**63)
    """How much of the GPU's memory one model may take in all workers; by default what it needs."""

    gpu_tf32: bool = False
    """Let CUDA round the factors of float32 products to ten bits."""

    gpu_graphs: bool = False
    """Capture a CUDA graph for each batch size."""

    tensorrt_fp16: bool = False
    """Let TensorRT compute in half precision."""

    tensorrt_cache: Path | None = None
    """Folder where TensorRT keeps the engines that it has built."""

    poll_seconds: NonNegativeFloat = 10
    """How often the repository is looked at for new versions; 0: when asked to load alone."""

    max_body_bytes: PositiveInt = 32 * 2**20
    """Largest request body."""

    max_pending_bytes: PositiveInt | None = None
    """Most bytes that all requests may hold together, in bodies and decoded images, in each worker;
    by default 1 GiB, and no less than ORBITSERVE_MAX_BODY_BYTES."""

    max_pixels: PositiveInt = 2**25
    """Largest image, in pixels, read from its header before it is decoded."""

    max_audit_images: PositiveInt = 4096
    """Most images in one audit."""

    max_audits: PositiveInt = 16
    """Most audits that run or wait; one runs at a time."""

    max_audit_classifications: PositiveInt = 1_000_000
    """Most images that one audit may have classified, rotated ones and self-tests included."""

    ledger: str | None = None
    """Folder, or URL of fsspec's, where every audit is stored; without it, none is."""

    max_queue_size: int = Field(default=DEFAULT_LIMITS.max_queue_size, validate_default=True)
    """Most images that may wait for a model; at least as many as one request may hold."""

    request_seconds: PositiveFloat = 30.0
    """How long a classification may take; a client shortens it by `Prefer: wait=<seconds>`."""

    receive_seconds: PositiveFloat = 30.0
    """How long a client may take to send a head, then a body, and to go on reading an answer."""

    shutdown_delay_seconds: NonNegativeFloat = 0.0
    """How long requests are still taken after SIGTERM, while `/readyz` refuses."""

    shutdown_seconds: NonNegativeInt = 20
    """How long requests under way may take after that."""

    log_format: Literal["console", "json"] = "console"
    """Log lines for people, or one JSON object a line."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is logged."""

    log_requests: float = Field(default=1.0, ge=0, le=1)
    """Part of the answered requests that get a log line; a refused request always gets one."""

    api_keys: Path | None = None
    """File of API keys; without it, no call needs one."""

    model_control: bool = False
    """Let whoever reaches the service load and unload models where no API keys are set; with keys,
    their scope `admin` decides."""

    shadow_share: float = Field(default=0.0, ge=0, le=1)
    """Part of the classified images that are rotated and classified again when nothing waits."""

    shadow_time: float = Field(default=DEFAULT_LIMITS.max_idle_share, gt=0, le=1)
    """Largest part of the time that a model spends on that; what does not fit in is dropped."""

    shadow_keep: Path | None = None
    """Folder where images that such a shadow audit disagrees about are kept; else none are."""

    shadow_salt: SecretStr | None = Field(default=None, min_length=16)
    """Key of the digests that stand for those images in the log; else one a start, by chance."""

    @field_validator(
        "repository",
        "cache",
        "public_key",
        "certificate_roots",
        "signing_key",
        "signing_certificate",
        "tensorrt_cache",
        "ledger",
        "api_keys",
        "shadow_keep",
        mode="before",
    )
    @classmethod
    def _name_a_place(cls, place: object) -> object:
        if place == "":  # which pathlib takes for the folder that the service was started in
            raise ValueError("it names no place; without one, leave it out")
        return place

    @field_validator("default_model")
    @classmethod
    def _name_a_model(cls, name: str | None) -> str | None:
        if name == "":
            raise ValueError("it names no model; for the first in the alphabet, leave it out")
        return name

    @field_validator("grpc_port", mode="before")
    @classmethod
    def _take_nothing_for_none(cls, port: object) -> object:
        return None if port == "" else port

    @field_validator("port", "grpc_port", mode="before")
    @classmethod
    def _take_no_link(cls, port: object) -> object:
        if isinstance(port, str) and "://" in port:
            raise ValueError(
                "it is what Kubernetes says of a Service of this name, and what "
                "`enableServiceLinks: false` in the pod's specification keeps it from saying"
            )
        return port

    @field_validator("host")
    @classmethod
    def _name_an_address(cls, host: str) -> str:
        if not host.strip():
            raise ValueError("it names no address; '127.0.0.1', '0.0.0.0' or '::' is accepted")
        return host

    @field_validator("grpc_port")
    @classmethod
    def _differ_from_http(cls, port: int | None, info: ValidationInfo) -> int | None:
        if port and port == info.data.get("port"):
            raise ValueError("it is ORBITSERVE_PORT as well; another is accepted")
        return port

    @field_validator("root_path")
    @classmethod
    def _begin_with_slash(cls, path: str) -> str:
        if not _ROOT_PATH.fullmatch(path):
            raise ValueError("a path that begins with '/' and ends without it is accepted")
        return path

    @field_validator("worker_timeout")
    @classmethod
    def _outlast_signs_of_life(cls, seconds: float) -> float:
        if 0 < seconds < 2:
            raise ValueError("at least 2 seconds are accepted, or 0, which is for ever")
        return seconds

    @field_validator("max_queue_size")
    @classmethod
    def _hold_one_request(cls, rows: int, info: ValidationInfo) -> int:
        largest = info.data.get("max_batch_size", 1)
        if rows < largest:
            raise ValueError(f"it should hold one request, of up to {largest} images")
        return rows

    @field_validator("max_pending_bytes")
    @classmethod
    def _hold_one_body(cls, most: int | None, info: ValidationInfo) -> int | None:
        largest = info.data.get("max_body_bytes", 1)
        if most is not None and most < largest:
            raise ValueError(f"it should hold one body, of up to {largest} bytes")
        return most

    @property
    def pending_bytes(self) -> int:
        """How much all requests may hold together."""
        return self.max_pending_bytes or max(_PENDING_BYTES, self.max_body_bytes)

    @property
    def cpus(self) -> int:
        """How many CPUs one worker may keep busy."""
        return max(1, cpu_budget() // self.workers)

    def of_one_worker(self) -> Self:
        """Return what each of several workers is told: its share, and what all have in common."""
        changed: dict[str, object] = {}
        if self.gpu_memory_bytes is not None:
            changed["gpu_memory_bytes"] = max(1, self.gpu_memory_bytes // self.workers)
        if self.shadow_share and self.shadow_salt is None:
            changed["shadow_salt"] = SecretStr(secrets.token_hex(32))
        return self.model_copy(update=changed)

    @property
    def limits(self) -> Limits:
        """How much a model computes at once, and how much may wait for it."""
        return Limits(self.max_batch_size, self.max_queue_size, self.shadow_time)

    @property
    def proof_limits(self) -> ProofLimits:
        """What one proof may take."""
        return ProofLimits(self.proof_timeout, self.proof_memory * MEBIBYTE)

    @property
    def load_seconds(self) -> float:
        """How long trying one version may take."""
        usual = _ENGINE_SECONDS if self.device == "tensorrt" else _LOAD_SECONDS
        return self.load_timeout or max(usual, self.proof_timeout)

    @property
    def gpu(self) -> GpuOptions:
        """How a GPU is used."""
        return GpuOptions(
            memory_bytes=self.gpu_memory_bytes,
            tf32=self.gpu_tf32,
            graphs=self.gpu_graphs,
            tensorrt_fp16=self.tensorrt_fp16,
            tensorrt_cache=self.tensorrt_cache,
        )
