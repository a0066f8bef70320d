-- How many points a purchase at a merchant is worth, and when. The database holds the rule that two never
-- apply at once; a change is the end of one and the beginning of another, so what was valid stays written.

CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE conversion_rule (
    rule_id     uuid        NOT NULL CONSTRAINT conversion_rule_pk PRIMARY KEY,
    merchant_id uuid        NOT NULL,
    currency    text        NOT NULL,
    -- `points` for each `per_minor` minor units, on purchases of `min_minor` or more.
    points      bigint      NOT NULL,
    per_minor   bigint      NOT NULL,
    min_minor   bigint      NOT NULL,
    valid       tstzrange   NOT NULL,
    created_by  uuid        NOT NULL,
    created_at  timestamptz NOT NULL,
    -- Also the version of what caches keep.
    changed_at  timestamptz NOT NULL,
    CONSTRAINT conversion_rule_currency_is_iso_4217 CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT conversion_rule_points_range CHECK (points BETWEEN 1 AND 1000000),
    CONSTRAINT conversion_rule_per_minor_range CHECK (per_minor BETWEEN 1 AND 1000000000),
    CONSTRAINT conversion_rule_min_minor_range CHECK (min_minor BETWEEN 1 AND 1000000000000),
    CONSTRAINT conversion_rule_valid_from_until CHECK (
        NOT isempty(valid) AND NOT lower_inf(valid) AND lower_inc(valid) AND NOT upper_inc(valid)),
    CONSTRAINT conversion_rule_no_overlap
        EXCLUDE USING gist (merchant_id WITH =, currency WITH =, valid WITH &&)
);
CREATE INDEX conversion_rule_of_merchant ON conversion_rule (merchant_id, rule_id);

GRANT SELECT, INSERT, DELETE ON conversion_rule TO points_app;
-- A rule is ended, never rewritten; one that has not begun may be withdrawn.
GRANT UPDATE (valid, changed_at) ON conversion_rule TO points_app;
