"""The HTTP side of `tensafe-server`, the one thing made up in the sandbox.

kwok plays pods without running their containers, so somebody has to answer for them. What is answered is derived
from the cluster's real state: no ready pod, no service.
"""
