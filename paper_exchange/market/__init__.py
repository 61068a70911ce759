"""What the venue knows of its symbols at an instant: bars, the trades in them, klines, book, tickers."""
