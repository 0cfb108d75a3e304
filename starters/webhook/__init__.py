"""Alerts start procedures here: authenticated, validated, routed, and joined to the run that handles them already."""
