"""What a model knows about its training set, and what it therefore cannot know."""
