# ruff: noqa: RUF001 - sigma and the multiplication sign are what a table wants
"""Print the table of generators, in Markdown, from the cards that ``anomalon generate card`` or ``validate`` wrote.

    .venv/bin/python scripts/generator_table.py "independent marginals=cards/marginals" "default=cards/ttbar"

The floor, real against real, comes first. All cards must compare as many events.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from anomalon.generation.validation import Metric, Spread, Validation

COLUMNS = {
    "WS": "ws", "JS": "js", "KL": "kl", "m_W peak": "w1_m_W_peak", "m_top peak": "w1_m_top_peak",
    "balance": "w1_balance_calo", "mean W1/σ": "w1_derived", "boosting": "auc_boosting", "MLP": "auc_mlp",
}  # fmt: skip


def main() -> None:
    """Read the cards and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cards", nargs="+", metavar="NAME=FOLDER")
    given = [item.partition("=") for item in parser.parse_args().cards]
    found = {name: _read(Path(folder)) for name, _, folder in given}
    sizes = {card.settings.events for card in found.values()}
    if len(sizes) > 1:
        raise SystemExit(f"the cards compare different numbers of events: {sorted(map(str, sizes))}")
    print("\n".join(table(found)))


def table(cards: dict[str, Validation]) -> list[str]:
    """Lines of the table."""
    first = next(iter(cards.values()))
    names = [name for name, key in COLUMNS.items() if _metric(first, key) is not None]
    metrics = {name: {c: _metric(card, COLUMNS[c]) for c in names} for name, card in cards.items()}
    floor = [
        "floor, real against real",
        "0",
        *(_number(m.floor) if m else "" for m in metrics[next(iter(cards))].values()),
    ]
    lines = [["generator", "rules broken", *names], ["---", "--:", *("--:" for _ in names)], floor]
    for name, card in cards.items():
        lines.append([name, _broken(card), *(_cell(m) if m else "" for m in metrics[name].values())])
    return [f"| {' | '.join(line)} |" for line in lines]


def _read(folder: Path) -> Validation:
    return Validation.model_validate_json((folder / "validation.json").read_text(encoding="utf-8"))


def _metric(card: Validation, name: str) -> Metric | None:
    return next((m for m in card.metrics if m.name == name), None)


def _broken(card: Validation) -> str:
    rate = next((r for r in card.rates if r.name == "any"), None)
    return "" if rate is None else f"{100 * rate.generated.value:.2g} %"


def _cell(metric: Metric) -> str:
    """The value with its spread; beside distances, in brackets, how many floors that is."""
    ratio = "" if metric.ratio is None else f" (×{metric.ratio.value:.2f})"
    return f"{_number(metric.generated)}{ratio}"


def _number(spread: Spread) -> str:
    half = (spread.high - spread.low) / 2
    return f"{spread.value:.4f} ± {half:.4f}" if spread.value < 0.1 else f"{spread.value:.3f} ± {half:.3f}"


if __name__ == "__main__":
    main()
