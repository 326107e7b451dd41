"""Models: scorers and classifiers behind one contract each, and the detectors built from them."""
