"""Bumps in mass spectra: the hunt, backgrounds from sidebands, scores that carve bumps and scores that cannot."""
