"""Routing rules with a fault of each kind."""

RULES = """\
# a comment = [no table]
[[route]]
match = { a = "b" }

[[route]]
procedure = "x"
[route.input]
lease = 1
'odd key'."and.dots" = 2
"""
