"""The sub-commands of `quantflow`: they read arguments, call the rooms that do the work, and print."""
