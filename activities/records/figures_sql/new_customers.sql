-- Tenants that were created on the day of :at in the service's time zone, until then.
SELECT count(*)
FROM runbooks.tenants
WHERE created_at <= %(at)s::timestamptz
  AND (created_at AT TIME ZONE %(zone)s)::date = (%(at)s::timestamptz AT TIME ZONE %(zone)s)::date
