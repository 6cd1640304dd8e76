"""Where bags come from: instances that are decoded once, bags made of them, data sets by name."""
