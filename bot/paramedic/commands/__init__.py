"""How a bot hears its platform: a stream of signed, leased commands, and what it says back."""
