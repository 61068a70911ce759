"""The live session: a graph that runs at each bar's close, on the window that it needs."""
