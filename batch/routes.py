"""The ways to an answer: a provider, what answers for it, and the lane that its requests share."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from .completers.fleet import Fleet
from .completers.hedge import Hedge
from .errors import Rejected
from .estimate import TokenEstimate
from .limits.lane import Lane
from .models import Job, Price, Reply, Request
from .providers.connection import Completer
from .providers.triage import Triage, Triaging


class Route:
    """One way. The first of a run is the provider that was named, others are its fallback.

    `model` stands in place of the one that a job asks for; `reason_unsupported` tells why the
    provider cannot do a job (empty when it can).
    """

    def __init__(
        self,
        provider: str,
        completer: Completer,
        lane: Lane,
        *,
        model: str = "",
        price: Price | None = None,
        reason_unsupported: Callable[[Job], str] = lambda _: "",
    ) -> None:
        self.provider = provider
        self.completer = completer
        self.lane = lane
        self.model = model
        self.price = price
        self.reason_unsupported = reason_unsupported
        self.sent = 0
        """Requests that went out and have not come back."""
        self.answered = 0
        self._estimate = TokenEstimate()

    @property
    def hedge(self) -> Hedge | None:
        """What sends duplicates, when something does."""
        return self.completer if isinstance(self.completer, Hedge) else None

    @property
    def fleet(self) -> Fleet | None:
        """The servers, when there are several."""
        return self._inner if isinstance(self._inner, Fleet) else None

    @property
    def triage(self) -> Triage | None:
        """What was found in the pictures, when they are looked through."""
        return self._inner.triage if isinstance(self._inner, Triaging) else None

    @property
    def _inner(self) -> Completer:
        """What answers, whether or not duplicates are sent."""
        return self.hedge.completer if self.hedge else self.completer

    def __repr__(self) -> str:
        return f"Route({self.provider}{':' * bool(self.model)}{self.model}, {self.lane!r})"

    def tokens_of(self, request: Request) -> float:
        """About the tokens of a request; 0 where they are not limited.

        Raises `Rejected` for more than the limit lets through in a whole minute.
        """
        limit = self.lane.tokens
        if limit is None:
            return 0.0
        tokens = self._estimate.rule_of_thumb(request)
        if tokens > limit.per_minute:
            words = f"about {tokens:,.0f} tokens are more than --tpm {limit.per_minute:g} lets out"
            raise Rejected(f"{words} in a minute", "rejected")
        # What was learned from other requests delays this one, it does not condemn it.
        return min(self._estimate.of(request), limit.per_minute)

    def fitted(self, request: Request) -> Request:
        """The request with the model of this way."""
        return replace(request, model=self.model) if self.model else request

    def correct(self, request: Request, reply: Reply, tokens: float) -> None:
        """Let the token limit know what a request took that was thought to take `tokens`."""
        if self.lane.tokens is None:
            return
        used = self._estimate.learn(request, reply)
        if used is not None:
            self.lane.tokens.correct(used - tokens)
