"""What a bot does with signals while it trades: read, decide, claim, answer, record; Freqtrade's strategy asks it."""
