"""Who sends alerts: a module each, which knows how its sender speaks and, beside Alertmanager, how it signs."""
