"""Events from learned generators, and whether they can be told from simulation."""
