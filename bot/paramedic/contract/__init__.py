"""The nouns that cross a wire between a bot and its platform. Standard library only."""
