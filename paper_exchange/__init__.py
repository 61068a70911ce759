"""A local venue that speaks Binance's spot protocol; it knows nothing of the rest of the project."""
