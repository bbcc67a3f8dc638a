"""Members that can stand in for each other, and cheap models before dear ones."""
