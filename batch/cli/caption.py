"""`overnight caption`: a folder of images → captions beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from ..errors import UsageError
from ..results.joining import JOINING
from ..results.paths import shortest
from ..results.sidecar_rules import SidecarRules
from ..results.wording import Wording
from ..settings import Settings
from ..sources.folder import SUFFIXES
from ..sources.pictures import FROM_TEXT, TEXT_SUFFIX
from ..sources.presets import PRESETS
from ..sources.template import names_in
from ..views.progress import say
from .given import settings_of
from .out import put_text
from .run import run


def work(ctx: click.Context, values: dict[str, Any]) -> int:
    """Run with the preset's prompt and sidecars, or print that prompt."""
    settings = caption_settings(ctx, values)
    if values["show_prompt"]:
        put_text(prompt_of(settings))
        return 0
    if not settings.sources:
        raise click.UsageError("Missing argument 'FOLDER…'.", ctx)
    refuse_job_files(settings)
    if settings.provider == "offline" and values["preset"] == "alt" and not values["quiet"]:
        say("note: offline measures and does not see: what it writes is no alt text (--provider)")
    return run(settings, values)


def caption_settings(ctx: click.Context, values: dict[str, Any]) -> Settings:
    """The settings of a run, with the preset's prompt where none is given; raises `UsageError`."""
    settings = settings_of(ctx, values)
    settings = msgspec.structs.replace(
        settings,
        ambient={"prompt": PRESETS[values["preset"]], **settings.ambient},
        sidecars=sidecar_rules(values),
    )
    if settings.sidecars is not None:
        if settings.streams:
            raise UsageError("-o - leaves no file to make sidecars from: add --sidecar none")
        refuse_feedback(settings, settings.sidecars)
    return settings


def prompt_of(settings: Settings) -> str:
    """What is asked of every image, its placeholders as they are."""
    return str({**settings.ambient, **settings.flags}["prompt"])


def sidecar_rules(values: dict[str, Any]) -> SidecarRules | None:
    """Which sidecars are asked for; raises `UsageError` for what does not go together."""
    kind, existing = values["sidecar"], values["existing"]
    if kind == "none":
        return None
    if kind == "json" and existing in JOINING:
        raise UsageError(f"--existing {existing} is for text: nothing is joined to a JSON file")
    return SidecarRules(
        kind=kind,
        preset=values["preset"],
        extension=values["caption_ext"],
        keeps_suffix=values["xmp_naming"] == "photo.jpg.xmp",
        folder=str(shortest(Path(values["sidecar_dir"]))) if values["sidecar_dir"] else "",
        existing=existing,
        wording=Wording(
            prefix=values["prefix"],
            suffix=values["suffix"],
            strip_phrases=tuple(filter(None, values["strip_phrase"])),
            tags=values["preset"] == "tags",
        ),
    )


def refuse_feedback(settings: Settings, rules: SidecarRules) -> None:
    """Raise `UsageError` when the prompt would read what the run writes.

    Each answer would change the next prompt, so every run would ask and pay anew.
    """
    given = {**settings.ambient, **settings.flags}
    names = set[str]().union(*(names_in(str(given.get(each, ""))) for each in ("prompt", "system")))
    if names & FROM_TEXT and not rules.folder and rules.name_for("a") == f"a{TEXT_SUFFIX}":
        name = min(names & FROM_TEXT)
        words = f"{{{{{name}}}}} reads the {TEXT_SUFFIX} that this run would write"
        raise UsageError(f"{words}: write elsewhere (--caption-ext .caption, or --sidecar-dir DIR)")


def refuse_job_files(settings: Settings) -> None:
    """Raise `UsageError` for a source that is no folder and no image."""
    for name in settings.sources:
        path = Path(name)
        if not path.is_dir() and path.suffix.lower() not in SUFFIXES:
            if not path.exists() and name != "-":
                raise UsageError(f"cannot read {name}: No such file or directory")
            words = "is neither a folder nor an image"
            raise UsageError(f"{name} {words}: `{settings.program} run` does job files")
