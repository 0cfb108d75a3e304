-- Monthly recurring revenue of active tenants; no number where nobody has entered what tenants pay.
SELECT sum(monthly_revenue) FROM runbooks.tenants WHERE status = 'active'
