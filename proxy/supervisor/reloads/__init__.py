"""How a new edition comes into service: in all workers, or in none."""
