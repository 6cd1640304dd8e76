"""Where bags come from: instances decoded once, bags built from them, datasets by name."""
