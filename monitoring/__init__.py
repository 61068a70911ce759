"""Reads what all others have stored: how long each signal took, and whether signals, orders and fills agree."""
