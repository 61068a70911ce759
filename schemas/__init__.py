"""The nouns that research and execution share: documents, symbols, timeframes, settings, the signal rule, MongoDB."""
