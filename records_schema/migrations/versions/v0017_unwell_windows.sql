CREATE OR REPLACE VIEW runbooks.status_said AS
SELECT component, 'incident' AS kind, incident_id AS by, (
    CASE status
        WHEN 'Investigating' THEN 'major_outage'
        WHEN 'Identified' THEN 'partial_outage'
        WHEN 'Monitoring' THEN 'degraded_performance'
        ELSE 'operational'
    END)::runbooks.component_state AS shows, message, at
FROM (
    SELECT DISTINCT ON (incident_id, component) * FROM runbooks.status_updates ORDER BY incident_id, component, id DESC
) AS incidents
UNION ALL
SELECT component, 'maintenance', window_id, (
    CASE
        WHEN status IN ('In progress', 'Verifying') THEN 'under_maintenance'
        -- It ended unwell: that shows until something newer says how the component is. A window that is only planned,
        -- or was called off, doesn't.
        WHEN status = 'Completed' AND component_shows <> '' AND NOT EXISTS (
            SELECT FROM runbooks.status_updates AS newer WHERE newer.component = windows.component AND newer.at > windows.at
        ) AND NOT EXISTS (
            SELECT FROM runbooks.maintenance_notices AS newer
            WHERE newer.component = windows.component AND newer.id > windows.id
                AND (newer.component_shows <> '' OR newer.status IN ('In progress', 'Verifying'))
        ) THEN component_shows
        ELSE 'operational'
    END)::runbooks.component_state, message, at
FROM (
    SELECT DISTINCT ON (window_id, component) * FROM runbooks.maintenance_notices ORDER BY window_id, component, id DESC
) AS windows
UNION ALL
SELECT component, 'person', who, shows, message, at FROM runbooks.status_by_hand WHERE ended_at IS NULL;
