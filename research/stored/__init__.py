"""Stored bars: read from MongoDB as they lie there, copied to the local disk, and the copies proven fresh."""
