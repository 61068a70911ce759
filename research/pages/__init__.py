"""Pages that need no network: of a backtest, of a sweep, with their charts and templates."""
