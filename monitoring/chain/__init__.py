"""The ways of signals: each one followed from its bar to its fills, held against bot and venue, and measured."""
