"""How the venue trades: accounts, orders, matching against users and the house, fees, and the journal of it all."""
