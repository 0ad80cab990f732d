"""The admin API: each answer as a type, which the parent writes, commands read and the page shows.
Pure.

A class lists its keys in the order in which they stand in the JSON. At run time an answer is a
plain dictionary: nothing is converted or checked.
"""
