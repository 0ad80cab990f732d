"""Keys and chains that were made here, stored atomically: a crash leaves the old state or the new
one.
"""
