"""The published data sets, a module each; `detection` tells which of them a folder holds, `inspection` checks a copy."""
