"""Put the table of a finished comparison of classifiers into a page, and its figures beside it.

    anomalon classify examples/classify-ttbar-dm.yaml --output runs/ttbar-dm
    .venv/bin/python scripts/publish_classification.py runs/ttbar-dm ttbar-dm docs/classification.md scores roc

Text between ``<!-- table: NAME -->`` and ``<!-- end -->`` is replaced by ``table.md``, and ``docs/figures/`` gets the
named figures as ``classify_NAME_FIGURE.png``; nothing else is touched.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path


def main() -> None:
    """Publish one run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a finished run")
    parser.add_argument("name", help="of the table in the page")
    parser.add_argument("page", type=Path, help="a Markdown file with marked tables")
    parser.add_argument("figures", nargs="*", help="to copy")
    options = parser.parse_args()
    table = (options.run / "table.md").read_text(encoding="utf-8").strip()
    options.page.write_text(filled(options.page.read_text(encoding="utf-8"), options.name, table), encoding="utf-8")
    for figure in options.figures:
        target = options.page.parent / "figures" / f"classify_{options.name.replace('-', '_')}_{figure}.png"
        shutil.copy(options.run / "figures" / f"{figure}.png", target)


def filled(page: str, name: str, table: str) -> str:
    """The page with one of its tables replaced."""
    pattern = re.compile(rf"(<!-- table: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"no table '{name}' is marked in the page: <!-- table: {name} --> ... <!-- end -->")
    return pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", page)


if __name__ == "__main__":
    main()
