"""The search: thresholds, evaluation, blinding and the records that hold every number of a run."""
