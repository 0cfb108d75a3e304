"""The commands of `runbooks`, a module a subject."""
