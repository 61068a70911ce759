"""Node graphs: typed nodes around research, a runner, and the node that publishes signals."""
