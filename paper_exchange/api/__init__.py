"""How the venue is spoken to: HTTP and websockets in Binance's form, in front of the market and the accounts."""
