"""Who sends alerts beside Alertmanager: a module each behind one port, which knows how its sender signs and speaks."""
