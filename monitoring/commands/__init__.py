"""The sub-commands of `signal-monitor`: they read arguments, call the rooms that do the work, and print."""
