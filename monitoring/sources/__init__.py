"""Where facts are read: MongoDB, the API of Freqtrade, the venue."""
