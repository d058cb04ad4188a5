"""From a line to a Job: every rule of docs/jobs.md is held here.

The order of precedence is line > flag > `defaults` line > environment and configuration file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import UNSET

from ..models import Job
from ..printable import shortened
from .decode import BadLine, decoded
from .fields import RIVALS, converted, refuse_rivals, unknown
from .ids import derived_id, hashed_id, own_id
from .messages import image_references, messages_of, with_images
from .template import names_in

INHERITED = frozenset(
    {"prompt", "messages", "image", "images", "system", "model", "params", "schema", "vars", "meta"}
)
"""What a `defaults` line may give."""

DISPLACED = {one: other for pair in RIVALS for one, other in (pair, pair[::-1])}
"""What is inherited goes when a line says the same thing in the other way."""

MERGED = frozenset({"params", "vars"})
"""Objects that are merged key by key; every other value is replaced whole."""

CONTESTED = MERGED.union(DISPLACED)
"""Inherited fields that a line cannot simply be laid upon."""

BATCH_FIELDS = frozenset({"id", "custom_id", "method", "url", "body", "meta", "failure"})
DEFAULT_URL = "/v1/chat/completions"


class PassedOver(Exception):
    """A line that stands for no job: a bad line that an earlier run recorded as failed."""


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid upon `base`: rivals displaced, params and vars merged key by key."""
    if CONTESTED.isdisjoint(base):
        return {**base, **over}
    out = {name: value for name, value in base.items() if DISPLACED.get(name) not in over}
    for name, value in over.items():
        inner = out.get(name)
        if name in MERGED and isinstance(inner, dict) and isinstance(value, dict):
            out[name] = {**inner, **value}
        else:
            out[name] = value
    return out


class LineParser:
    """Turns lines into jobs; remembers what a `defaults` line gave.

    `flags` and `ambient` are job fields given on the command line and by environment or
    configuration file; `root` is the folder that image paths are relative to.
    """

    def __init__(self, root: str, flags: Mapping[str, Any], ambient: Mapping[str, Any]) -> None:
        self.root = root
        self._flags = dict(flags)
        self._ambient = dict(ambient)
        self._inherited = merged(ambient, flags)
        self._model_is_told = "model" in self._inherited

    def take_defaults(self, data: bytes) -> bool:
        """Keep the values of a `defaults` line; whether it was one. Raises `BadLine`."""
        if b'"defaults"' not in data:
            return False
        fields = decoded(data)
        if "defaults" not in fields:
            return False
        values = fields["defaults"]
        if set(fields) != {"defaults"} or not isinstance(values, dict):
            raise BadLine("`defaults` is an object and stands alone on its line")
        for name in values:
            if name not in INHERITED:
                raise BadLine(unknown(name, INHERITED, "`defaults` cannot give"))
        refuse_rivals(values)
        converted(values)
        self._inherited = merged(merged(self._ambient, values), self._flags)
        self._model_is_told = "model" in self._flags or "model" not in values
        return True

    def placeholders(self) -> set[str]:
        """The names that the inherited prompt and system text have placeholders for."""
        texts = (self._inherited.get("prompt"), self._inherited.get("system"))
        return set[str]().union(*(names_in(text) for text in texts if isinstance(text, str)))

    def parse(self, data: bytes) -> Job:
        """The job of a line; raises `BadLine`, or `PassedOver` for a recorded bad line."""
        written = decoded(data)
        if "body" in written:
            return self._batch_job(written)
        if "failure" in written and records_bad_line(written):
            raise PassedOver
        return self.job(written)

    def job(self, written: dict[str, Any]) -> Job:
        """The job of the fields of a line, with all that it inherits."""
        refuse_rivals(written)
        whole = merged(self._inherited, written) if self._inherited else written
        fields = converted(whole)
        if fields.defaults is not UNSET:
            raise BadLine("`defaults` stands alone on the first line of the file")
        if fields.method is not UNSET or fields.url is not UNSET:
            raise BadLine("`method` and `url` belong to a line with a `body`")
        messages = with_images(messages_of(fields), image_references(fields))
        if self._model_is_told and "model" not in written:
            # As the provider it is told again when the failed file is run, or another one is.
            whole.pop("model", None)
        return Job(
            id=own_id(fields) or derived_id(written, fields, self.root),
            messages=messages,
            model="" if fields.model is UNSET else fields.model,
            params=fields.params,
            schema=fields.schema,
            meta=fields.meta,
            root=self.root,
            fields=whole,
        )

    def _batch_job(self, written: dict[str, Any]) -> Job:
        """The job of an OpenAI batch line, whose body goes out verbatim; raises `BadLine`."""
        for name in written:
            if name not in BATCH_FIELDS:
                words = "cannot stand beside `body`, which goes out as it is"
                raise BadLine(f"`{shortened(name)}` {words}")
        refuse_rivals(written)
        if "meta" in self._inherited:
            written = {"meta": self._inherited["meta"], **written}
        fields = converted(written)
        assert fields.body is not UNSET
        if fields.method not in (UNSET, "POST"):
            raise BadLine("`method` must be POST")
        return Job(
            id=own_id(fields) or hashed_id(written),
            messages=(),
            model=str(fields.body.get("model") or ""),
            params={},
            schema=None,
            meta=fields.meta,
            root=self.root,
            fields=written,
            url=DEFAULT_URL if fields.url is UNSET else fields.url,
            body=fields.body,
        )


def records_bad_line(written: Mapping[str, Any]) -> bool:
    """Whether a line of a failed file only tells of a line that was no job."""
    failure = written.get("failure")
    is_bad = isinstance(failure, dict) and failure.get("code") == "bad_job"
    return is_bad and set(written) == {"id", "failure"}
