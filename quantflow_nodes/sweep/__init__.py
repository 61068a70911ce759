"""A sweep: one graph under many parameter sets, each judged by its backtest; nothing is published."""
