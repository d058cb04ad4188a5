"""What a run is told, in one frozen object, and the one place where its parts meet."""

from __future__ import annotations

import math
import os
import secrets
import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from .checks import Checks
from .errors import UsageError
from .image_estimate import EstimateRules
from .media.exif import exif_names, exif_texts
from .media.load import ImageRules
from .media.request import LoadRules
from .models import Price
from .outcomes import RunRules
from .plan import PlanRules, RetryFailed
from .providers.base import AsyncGeneratorProvider
from .providers.registry import find_provider
from .results.paths import Paths, default_results
from .results.sidecar_rules import SidecarRules
from .retry import RetryPolicy
from .sources.entries import Source
from .sources.folder import SUFFIXES, FolderRules, FolderSource
from .sources.jsonl import JsonlSource
from .sources.parse import LineParser

MIB = 1 << 20
FOLDER_PROMPT = "Describe this image."
"""Asked of a folder's images when nothing else is said and the provider costs nothing."""

NOT_YET_READ = frozenset({".csv", ".tsv", ".parquet", ".toml", ".yaml", ".yml", ".xlsx"})


class Fallback(Struct, frozen=True):
    """Who does the jobs once the provider that was named cannot be used any more."""

    provider: str
    model: str = ""
    base_urls: tuple[str, ...] = ()
    key_file: str | None = None
    price: Price | None = None


class Settings(Struct, frozen=True, kw_only=True):
    """Every option of a run. Times are seconds, sizes bytes."""

    sources: tuple[str, ...]
    output: str | None = None
    """The results file; `-` for stdout; None for the file beside the source."""
    flags: dict[str, Any] = {}
    """Job fields given on the command line: they beat a `defaults` line."""
    ambient: dict[str, Any] = {}
    """Job fields given by environment or configuration file: a `defaults` line beats them."""
    provider: str = "offline"
    base_urls: tuple[str, ...] = ()
    """Equal servers of the provider; none for its own."""
    key_file: str | None = None
    proxy: str | None = None
    concurrency: int = 8
    rpm: float | None = None
    tpm: float | None = None
    hedge: bool = False
    """Whether a request that takes long has one duplicate sent."""
    timeout: float = 120.0
    retries: int = 4
    job_timeout: float = math.inf
    max_outage: float = 7200.0
    fallback: Fallback | None = None
    checks: Checks | None = None
    """What is asked of every answer; None when each is taken as it comes."""
    limit: int | None = None
    retry_failed: RetryFailed = "transient"
    fresh: bool = False
    dedupe: bool = False
    """Whether jobs that ask alike are asked once."""
    ext: tuple[str, ...] = ()
    """Endings of the images of a folder, in lower case; none for all that are known."""
    exclude: tuple[str, ...] = ()
    """Patterns of the images of a folder that are left out."""
    sidecars: SidecarRules | None = None
    """What is written beside the images; None for nothing."""
    root: str | None = None
    images: ImageRules = ImageRules()
    allow_remote_images: bool = False
    skip_bad_lines: bool = False
    sync: Literal["group", "each"] = "group"
    if_locked: Literal["fail", "wait", "skip"] = "fail"
    max_response_bytes: int = 8 * MIB
    max_line_bytes: int = 8 * MIB
    max_held_bytes: int = 256 * MIB
    grace: float = 30.0
    price: Price | None = None
    program: str = "overnight"
    """How the program was called, for the words that tell what to type next."""
    command: str = "overnight run"
    """What to type to go on."""

    @property
    def streams(self) -> bool:
        """Whether results go to stdout and no file is written."""
        return self.output == "-"

    def paths(self) -> Paths:
        """The files of this run's output.

        Raises `UsageError` when it must be named, and when its name is that of a source.
        """
        if self.output is not None:
            results = Path(self.output).absolute()
            for name in self.sources:
                if results.is_file() and name != "-" and is_same(Path(name), results):
                    raise UsageError(f"-o {self.output} is the source itself: name another file")
            return Paths.beside(results)
        if len(self.sources) > 1:
            raise UsageError("several sources have no results file of their own: give -o FILE")
        if is_stream(self.sources[0]):
            raise UsageError("a stream has no results file of its own: give -o FILE, or -o -")
        return Paths.beside(default_results(Path(self.sources[0])))

    def deciding(self) -> dict[str, Any]:
        """The options that decide answers and the command, for those who look at the run later.

        Folders are absolute, because who looks may stand in another one.
        """
        root = self.root or ("." if any(map(is_stream, self.sources)) else None)
        return {
            "provider": self.provider,
            "root": root and str(Path(root).absolute()),
            "flags": self.flags,
            "ambient": self.ambient,
            "ext": self.ext,
            "exclude": self.exclude,
            "sidecars": self.sidecars,
            "command": self.command,
        }


def is_stream(source: str) -> bool:
    """Whether a source can be read only once: stdin, a FIFO, a process substitution."""
    if source in ("-", "/dev/stdin"):
        return True
    try:
        mode = Path(source).stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one file."""
    try:
        return path.samefile(other)
    except OSError:
        return False


def open_source(name: str, settings: Settings, spool: Path | None = None) -> Source:
    """A job file or folder, opened; `spool` holds what came from a stream.

    Raises `UsageError` when it cannot be read or is no source.
    """
    path = spool or Path(name).absolute()
    is_folder = path.is_dir()
    is_image = not is_folder and path.suffix.lower() in SUFFIXES
    default_root = path if is_folder else (Path.cwd() if spool else path.parent)
    root = os.path.realpath(settings.root or default_root)
    if settings.root and not Path(root).is_dir():
        raise UsageError(f"--root {settings.root} is no folder")
    ambient = settings.ambient
    if is_folder or is_image:
        # A link to an image is an image of the folder that the link is in.
        place = Path(os.path.realpath(default_root), path.name if is_image else "")
        parser = LineParser(root, settings.flags, folder_prompt(settings))
        rules = FolderRules(settings.ext or SUFFIXES, settings.exclude)
        asked = exif_names(parser.placeholders())
        read_exif = partial(exif_texts, names=asked, rules=settings.images) if asked else None
        return FolderSource(name, place, parser, rules, read_exif)
    if path.suffix.lower() in NOT_YET_READ:
        raise UsageError(f"{name}: a source is a JSONL job file or a folder of images")
    parser = LineParser(root, settings.flags, ambient)
    return JsonlSource(name, path, parser, settings.max_line_bytes)


def folder_prompt(settings: Settings) -> dict[str, Any]:
    """The inherited fields of a folder's jobs, with a prompt where none is needed."""
    given = {**settings.ambient, **settings.flags}
    if "prompt" in given:
        return settings.ambient
    if not find_provider(settings.provider).in_process:
        words = f"give -p TEXT, or use `{settings.program} caption`, which brings one"
        raise UsageError(f"a folder of images needs a prompt: {words}")
    return {**settings.ambient, "prompt": FOLDER_PROMPT}


def plan_rules(
    provider: AsyncGeneratorProvider, settings: Settings, *, ids_only: bool
) -> PlanRules:
    """The rules by which jobs are sorted."""
    return PlanRules(
        provider=settings.provider,
        model_of=provider.get_model,
        reason_unsupported=provider.reason_unsupported,
        images=settings.images,
        retry_failed=settings.retry_failed,
        fresh=settings.fresh,
        ids_only=ids_only,
    )


def run_rules(provider: AsyncGeneratorProvider, settings: Settings) -> RunRules:
    """The rules that every job of the run has in common."""
    # How long the run waits for its provider must not take a job's own attempts away.
    patience = max(settings.max_outage, settings.timeout * (settings.retries + 1))
    return RunRules(
        run_id=new_run_id(),
        provider=settings.provider,
        model_of=provider.get_model,
        load=load_rules(provider, settings),
        retry=RetryPolicy(
            retries=settings.retries, patience=patience, job_timeout=settings.job_timeout
        ),
        checks=settings.checks,
        max_outage=settings.max_outage,
        window=max(8, settings.concurrency * 3),
        held_bytes=settings.max_held_bytes,
        in_process=provider.in_process and not provider.can_break,
        dedupe=settings.dedupe,
        failed_folder="" if settings.streams else os.path.realpath(settings.paths().failed.parent),
    )


def load_rules(provider: AsyncGeneratorProvider, settings: Settings) -> LoadRules:
    """How images are loaded: once, so that the fallback takes them too."""
    originals, limits = provider.takes_originals, provider.limits_at(settings.base_urls)
    if settings.fallback is not None:
        other = find_provider(settings.fallback.provider)()
        originals = originals and other.takes_originals
        limits = limits.narrowed(other.limits_at(settings.fallback.base_urls))
    return LoadRules(settings.images, originals, settings.allow_remote_images, limits)


def estimate_rules(provider: AsyncGeneratorProvider, settings: Settings) -> EstimateRules:
    """How the images of the run are measured before it."""
    return EstimateRules(
        load=load_rules(provider, settings),
        model_of=provider.get_model,
        formulas_of=lambda model: provider.image_formulas(model, settings.base_urls),
    )


def new_run_id() -> str:
    """A run's name: its second in UTC and 32 random bits, so that two never share one."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def source_label(sources: Sequence[str]) -> str:
    """The sources as messages and run.json name them: absolute paths."""
    names = ("stdin" if name == "-" else str(Path(name).absolute()) for name in sources)
    return ", ".join(names)
