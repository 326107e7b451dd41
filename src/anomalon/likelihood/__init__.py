"""Likelihoods over bins of regions: workspaces, fits, limits, significances, pulls, pseudo-experiments."""
