"""Where bags come from: instances that are decoded once, bags made of them, datasets by name."""
