-- What a point is worth in other currencies than the unit of account, and how much a merchant may give away.

-- `points` points pay `minor` minor units.
CREATE TABLE tender_value (
    currency   text        NOT NULL CONSTRAINT tender_value_pk PRIMARY KEY,
    points     bigint      NOT NULL,
    minor      bigint      NOT NULL,
    changed_by uuid        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT tender_value_currency_is_iso_4217 CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT tender_value_points_range CHECK (points BETWEEN 1 AND 1000000000),
    CONSTRAINT tender_value_minor_range CHECK (minor BETWEEN 1 AND 1000000000)
);

-- The bounds of merchants that have others than the deployment's.
CREATE TABLE issuance_limit (
    merchant_id      uuid        NOT NULL CONSTRAINT issuance_limit_pk PRIMARY KEY,
    max_rate_percent bigint      NOT NULL,
    budget_points    bigint      NOT NULL, -- for each calendar month
    changed_by       uuid        NOT NULL,
    changed_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT issuance_limit_rate_range CHECK (max_rate_percent BETWEEN 1 AND 100),
    CONSTRAINT issuance_limit_budget_range CHECK (budget_points BETWEEN 0 AND 9007199254740991)
);

-- What a merchant has given away in a month (UTC), and the budget that the last batch was judged by. Written by the
-- statement that writes the earnings: two replicas add up, and the second one is refused. Always locked after the
-- accounts, in the order of the merchants.
CREATE TABLE issuance (
    merchant_id uuid   NOT NULL,
    month       date   NOT NULL,
    points      bigint NOT NULL,
    budget      bigint NOT NULL,
    CONSTRAINT issuance_pk PRIMARY KEY (merchant_id, month),
    CONSTRAINT issuance_month_begins CHECK (extract(day FROM month) = 1),
    CONSTRAINT issuance_within_budget CHECK (points BETWEEN 0 AND budget)
) WITH (fillfactor = 50); -- room on the page keeps its updates HOT
CREATE INDEX issuance_of_month ON issuance (month);

-- What the held points pay, in the price's currency: answered again as it was, whatever a point is worth by then.
ALTER TABLE hold
    ADD COLUMN currency text,
    ADD COLUMN value_minor bigint,
    ADD CONSTRAINT hold_value_positive CHECK (value_minor >= 1),
    ADD CONSTRAINT hold_value_has_currency CHECK ((currency IS NULL) = (value_minor IS NULL));

GRANT SELECT, INSERT ON tender_value, issuance_limit, issuance TO points_app;
GRANT UPDATE (points, minor, changed_by, changed_at) ON tender_value TO points_app;
GRANT UPDATE (max_rate_percent, budget_points, changed_by, changed_at) ON issuance_limit TO points_app;
GRANT UPDATE (points, budget) ON issuance TO points_app;
