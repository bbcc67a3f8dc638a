"""A guard and its calls: asked for, made, recorded, recovered; and what commands do to it."""
