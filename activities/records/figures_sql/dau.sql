-- Daily active customers: tenants that have used the service in the 24 hours until :at. One row, one number.
SELECT count(DISTINCT tenant_id)
FROM runbooks.tenant_usage
WHERE kind <> 'refused_call' AND count > 0
  AND hour > %(at)s::timestamptz - interval '24 hours' AND hour <= %(at)s::timestamptz
