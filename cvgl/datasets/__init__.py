"""The published data sets, a module each: `registry` lists them, `detection` recognises folders, `inspection` checks copies."""
