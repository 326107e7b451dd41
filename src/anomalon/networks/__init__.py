"""Plain torch modules: the mathematics of networks, without a trainer."""
