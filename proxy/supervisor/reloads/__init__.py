"""How one edition follows another in all workers or in none."""
