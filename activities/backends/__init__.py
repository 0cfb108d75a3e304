"""What the activities of records, paging, status page, chat and evidence stand on, one module a backend.

`ledger` makes an effect on the records happen once; `records_*` keep things in PostgreSQL through it; `pagerduty`,
`atlassian_statuspage` and `slack_web` speak to the services; `evidence_*` keep objects. Settings choose one backend
for each activity, never both.
"""
