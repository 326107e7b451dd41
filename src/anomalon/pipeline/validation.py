"""Files and stores of generated and real events compared: one call behind ``anomalon generate validate``."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from anomalon.errors import OutputExistsError
from anomalon.events import Events
from anomalon.generation.flatten import FIELDS
from anomalon.generation.validate import validate
from anomalon.generation.validation import Validation, ValidationSettings
from anomalon.generation.validity import ROUNDING, rate_of
from anomalon.kinematics import momentum
from anomalon.pipeline.compare import new_folder
from anomalon.report.generation_page import RESULT, write_card
from anomalon.sources import expand, open_source
from anomalon.sources.darkmachines import FORMAT
from anomalon.sources.darkmachines_text import Parser, blocks

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ValidationInputs:
    """Stores, event files, patterns or directories of each role."""

    real: str
    generated: str
    training: str | None = None
    truth: str | None = None


def validate_files(
    inputs: ValidationInputs,
    settings: ValidationSettings | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Validation:
    """Read the samples and compare them; see :func:`anomalon.generation.validate.validate`.

    Reading a Dark Machines file turns an energy below the momentum into a mass of zero: there the rule is checked on
    the numbers of the file.

    Raises:
        InputFileError: a file is missing or damaged, or lacks a collection.
        EmptySelectionError: a sample is too small to conclude.
    """
    paths = {"real": inputs.real, "generated": inputs.generated, "training": inputs.training, "truth": inputs.truth}
    events = {role: read_events(path) for role, path in paths.items() if path is not None}
    found = validate(
        events["real"],
        events["generated"],
        train=events.get("training"),
        truth=events.get("truth"),
        settings=settings,
        progress=progress,
    )
    samples = tuple(s.model_copy(update={"where": str(paths[s.role])}) for s in found.samples)
    return _with_shells(found.model_copy(update={"samples": samples}), inputs)


def read_events(path: str) -> Events:
    """All events of a path, with the fields that a comparison needs.

    Raises:
        InputFileError: there is nothing to read, or it is damaged, or it lacks a collection.
    """
    return Events.concatenate(part for file in expand([path]) for part in open_source(file).iterate(FIELDS))


def write_validation(validation: Validation, output: Path, *, overwrite: bool = False) -> Path:
    """Write the card (PNG, PDF, HTML) and ``validation.json`` into a folder, which appears when complete.

    Raises:
        OutputExistsError: the folder is there and ``overwrite`` is off, or it is no validation.
    """
    check_validation_free(output, overwrite=overwrite)
    fresh = output.with_name(f".{output.name}.{secrets.token_hex(4)}.new")
    with new_folder(fresh) as partial:
        write_card(validation, partial)
    if output.exists():
        shutil.rmtree(output)
    fresh.rename(output)
    return output


def check_validation_free(output: Path, *, overwrite: bool) -> None:
    """Refuse to write over what is there.

    Raises:
        OutputExistsError: as :func:`write_validation`.
    """
    if not output.exists():
        return
    if not overwrite:
        raise OutputExistsError(f"{output}: already there; choose another name or overwrite it (--overwrite)")
    if not (output / RESULT).is_file():
        raise OutputExistsError(f"{output}: already there and not a validation: not overwritten; choose another name")


def below_shell(path: str) -> Mask | None:
    """Which events of Dark Machines files have an object with E < p, shape (event,); None for other formats.

    Args:
        path: as in :class:`ValidationInputs`.
    """
    files = expand([path])
    if any(open_source(file).format != FORMAT for file in files):
        return None
    return np.concatenate([_file_below_shell(file) for file in files])


def _file_below_shell(path: Path) -> Mask:
    parser, found = Parser(), []
    for text in blocks(path):
        parsed = parser.read(text)
        energy, pt, eta, _ = parsed.objects.T
        below = np.r_[0, np.cumsum(energy < momentum(pt, eta) * (1 - 2 * ROUNDING))]
        found.append(np.diff(below[np.r_[0, parsed.ends]]) > 0)
    return np.concatenate(found) if found else np.zeros(0, dtype=np.bool_)


def _with_shells(validation: Validation, inputs: ValidationInputs) -> Validation:
    """Replace the rate of E < p by that of the files' own numbers, where they are text."""
    generated = below_shell(inputs.generated)
    if generated is None:
        return validation
    real = below_shell(inputs.real)
    known = validation.rate("below_shell")
    if real is None:  # a store holds masses: whatever breaks the rule there is counted already
        real = np.arange(validation.samples[0].events) < known.real_events
    rate = rate_of("below_shell", known.title, real, generated)
    kept = tuple(rate if r.name == "below_shell" else r for r in validation.rates)
    n, known_n = int(generated.sum()), known.generated_events
    text = f"{n} generated events have E < p in the file; reading made those objects massless"
    warnings = (*validation.warnings, text) if n > known_n else validation.warnings
    return validation.model_copy(update={"rates": kept, "warnings": warnings})
