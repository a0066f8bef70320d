-- What is believed, and since when anything is known.

-- Prometheus has, or had, an alert of it firing; or an operator vouches for it. What was there before was believed.
ALTER TABLE incident ADD COLUMN verified boolean NOT NULL DEFAULT true;
ALTER TABLE incident ALTER COLUMN verified SET DEFAULT false;
CREATE INDEX incident_unverified ON incident (incident_id) WHERE resolved_at IS NULL AND NOT verified;
GRANT UPDATE (verified) ON incident TO incidents_app;
-- What Prometheus says of an alert that it turned out to know later; what was told before stays.
ALTER TABLE alert ADD COLUMN known_labels jsonb, ADD COLUMN known_annotations jsonb,
    ADD CONSTRAINT alert_known_whole CHECK ((known_labels IS NULL) = (known_annotations IS NULL));
GRANT UPDATE (known_labels, known_annotations) ON alert TO incidents_app;

-- From when to when, on each day (UTC), the alerting chain was known to be alive. A day without a row is unknown:
-- nobody would have told of an incident.
CREATE TABLE watched_day (
    day      date        NOT NULL CONSTRAINT watched_day_pk PRIMARY KEY,
    from_at  timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    CONSTRAINT watched_day_in_order CHECK (from_at <= until_at),
    CONSTRAINT watched_day_within CHECK (from_at >= day::timestamp AT TIME ZONE 'UTC'
                                         AND until_at <= (day + 1)::timestamp AT TIME ZONE 'UTC')
);
-- What is running has recorded incidents since its first one.
INSERT INTO watched_day (day, from_at, until_at)
SELECT d::date, GREATEST(d AT TIME ZONE 'UTC', first.at), LEAST((d + interval '1 day') AT TIME ZONE 'UTC', now())
FROM (SELECT min(opened_at) AS at FROM incident) AS first,
     generate_series(date_trunc('day', first.at AT TIME ZONE 'UTC'), now() AT TIME ZONE 'UTC', interval '1 day') AS d
WHERE first.at <= now();
GRANT SELECT, INSERT, UPDATE (until_at) ON watched_day TO incidents_app;
