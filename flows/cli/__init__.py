"""The command `cvgl`: its options, what it prints, and how it starts flows."""
