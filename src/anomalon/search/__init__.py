"""What a score means: thresholds, regions, significance, limits, bump hunt, blinding."""

from anomalon.search.significance import asimov_significance, simple_significance

__all__ = ["asimov_significance", "simple_significance"]
