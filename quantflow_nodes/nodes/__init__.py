"""The nodes that come with QuantFlow, one family a file."""
