"""One record's way through the worker: decode, validate, judge, encode."""

from streams.processing.logic import LeadLogic
from streams.processing.outputs import topic_of

__all__ = ["LeadLogic", "topic_of"]
