-- From the best to the worst: max() gives what shows.
CREATE TYPE runbooks.component_state AS ENUM (
    'operational', 'under_maintenance', 'degraded_performance', 'partial_outage', 'major_outage'
);
COMMENT ON TYPE runbooks.component_state IS
    'What a component shows, from the best to the worst; names as Atlassian Statuspage has them.';

CREATE TABLE runbooks.status_by_hand (
    id        bigint                   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    component text                     NOT NULL,
    shows     runbooks.component_state NOT NULL,
    message   text                     NOT NULL DEFAULT '',
    who       text                     NOT NULL,
    at        timestamptz              NOT NULL DEFAULT clock_timestamp(),
    ended_at  timestamptz,
    CONSTRAINT what_a_person_says_ends_after_it_began CHECK (ended_at >= at)
);
CREATE INDEX status_by_hand_of_a_component ON runbooks.status_by_hand (component) WHERE ended_at IS NULL;
COMMENT ON TABLE runbooks.status_by_hand IS
    'What a person says of a component (runbook 2.2 step 7), until they set ended_at. No run writes here, and none '
    'lets the component look better than that meanwhile.';

CREATE VIEW runbooks.status_said AS
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
        -- It ended unwell: that shows until somebody says something newer.
        WHEN status = 'Completed' AND component_shows <> '' AND NOT EXISTS (
            SELECT FROM runbooks.status_updates AS newer WHERE newer.component = windows.component AND newer.at > windows.at
        ) AND NOT EXISTS (
            SELECT FROM runbooks.maintenance_notices AS newer
            WHERE newer.component = windows.component AND newer.id > windows.id
        ) THEN component_shows
        ELSE 'operational'
    END)::runbooks.component_state, message, at
FROM (
    SELECT DISTINCT ON (window_id, component) * FROM runbooks.maintenance_notices ORDER BY window_id, component, id DESC
) AS windows
UNION ALL
SELECT component, 'person', who, shows, message, at FROM runbooks.status_by_hand WHERE ended_at IS NULL;
COMMENT ON VIEW runbooks.status_said IS
    'What each incident, each maintenance and each person says of a component at the moment.';

CREATE VIEW runbooks.status_page AS
SELECT DISTINCT ON (component) component, shows, kind, by, message, at AS since
FROM runbooks.status_said
ORDER BY component, shows DESC, at DESC;
COMMENT ON VIEW runbooks.status_page IS
    'The public page where no status page service is configured (runbook 2.2 steps 7 and 13, 6.1): what each component '
    'shows. The worst that anybody says of it shows, and nobody else can lower that.';

COMMENT ON TABLE runbooks.status_updates IS
    'tensafe-admin statuspage update (runbook 2.2 steps 7 and 13), where no status page service is configured. '
    'An incident''s latest row is what it says of a component; what the component shows is in runbooks.status_page.';
