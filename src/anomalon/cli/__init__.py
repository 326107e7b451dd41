"""The command line, in the order of the analysis; every command is one library call.

A command lives in the module of its name and imports the library inside its function, so that ``--help`` is immediate.
"""

from __future__ import annotations

from anomalon.cli import (
    benchmark,
    classify,
    compare,
    export,
    features,
    generate,
    info,
    init,
    read,
    score,
    search,
    simulate,
    style,
    tune,
)
from anomalon.cli._app import app, main

__all__ = ["app", "main"]

app.command()(init.init)
app.command()(simulate.simulate)
app.command()(read.read)
app.command()(info.info)
app.command()(features.features)
app.command()(search.search)
app.command()(score.score)
app.command()(classify.classify)
app.command()(benchmark.benchmark)
app.command()(tune.tune)
app.command()(export.export)
app.command()(compare.compare)
app.add_typer(generate.generate)
app.add_typer(style.style)
