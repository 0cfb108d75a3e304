-- Each ends with the order in which runs are shown, so that a page is read from the index and nothing is sorted.
CREATE INDEX archive_index_of_a_service ON runbooks.archive_index (service, started_at, seq);
CREATE INDEX archive_index_of_a_tenant ON runbooks.archive_index (tenant, started_at, seq) WHERE tenant <> '';
CREATE INDEX archive_index_by_end ON runbooks.archive_index (ended_at, seq);
