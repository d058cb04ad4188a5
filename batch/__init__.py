"""overnight: prompts and images in, answers out, by morning.

The public door: every name below is imported when it is first used, so that `import batch` and
`overnight --help` cost next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    "AsyncGeneratorProvider": "providers.base",
    "BatchError": "errors",
    "Call": "models",
    "Connection": "providers.connection",
    "Dynaspark": "providers.dynaspark",
    "Failed": "models",
    "Fake": "providers.fake",
    "Image": "models",
    "ImageLimits": "image_limits",
    "Job": "models",
    "JobError": "errors",
    "Message": "models",
    "Offline": "providers.offline",
    "OpenAI": "providers.openai",
    "ProviderModelMixin": "providers.base",
    "Rejected": "errors",
    "Reply": "models",
    "Request": "models",
    "Result": "models",
    "Retryable": "errors",
    "RunError": "errors",
    "Settings": "settings",
    "Summary": "summary",
    "Usage": "models",
    "UsageError": "errors",
    "find_provider": "providers.registry",
    "run_local": "engines.local",
}

__all__ = [
    "AsyncGeneratorProvider",
    "BatchError",
    "Call",
    "Connection",
    "Dynaspark",
    "Failed",
    "Fake",
    "Image",
    "ImageLimits",
    "Job",
    "JobError",
    "Message",
    "Offline",
    "OpenAI",
    "ProviderModelMixin",
    "Rejected",
    "Reply",
    "Request",
    "Result",
    "Retryable",
    "RunError",
    "Settings",
    "Summary",
    "Usage",
    "UsageError",
    "__version__",
    "find_provider",
    "run_local",
]


def __getattr__(name: str) -> Any:
    """The public object of that name, imported now."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_PLACES[name]}", __name__), name)
