"""How the network finds the module by its name."""
