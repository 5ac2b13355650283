"""The commands of cvgl, a module for each group."""
