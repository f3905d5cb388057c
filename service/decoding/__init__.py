"""Images decoded and fitted: small ones here and now, others in processes that can be ended."""

from service.decoding.pool import Decoders
from service.decoding.prepare import prepare

__all__ = ["Decoders", "prepare"]
