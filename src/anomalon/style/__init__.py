"""The style of a detector: learned from unpaired samples and put on a simulation; and events as images."""
