"""The passes of a backtest over every bar: by numpy, or compiled."""
