"""The pipeline: stages from samples to a report, each cached under the digest of what it depends on."""
