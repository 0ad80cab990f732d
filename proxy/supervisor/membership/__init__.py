"""This node in its fleet: nodes that share secrets by a store outside of them."""
