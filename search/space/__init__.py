"""What may be tried: parameters, the tree that they form, and configurations of it."""
