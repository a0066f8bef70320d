-- Every movement of points besides earning, and holds: points promised now and spent, or freed, later.

ALTER TABLE transfer
    DROP CONSTRAINT transfer_kind_known,
    ADD CONSTRAINT transfer_kind_known CHECK (kind IN
        ('earn', 'redeem', 'transfer', 'reverse', 'adjust', 'hold', 'capture', 'release', 'expire'));

-- What is held has left the account and arrived nowhere yet.
ALTER TABLE entry
    DROP CONSTRAINT entry_system_account_known,
    ADD CONSTRAINT entry_system_account_known
        CHECK (system_account IN ('issuance', 'redemption', 'adjustment', 'held'));

-- A hold without an account is a tombstone: its release came first, so it must never be.
CREATE TABLE hold (
    hold_id     uuid NOT NULL CONSTRAINT hold_pk PRIMARY KEY,
    account_id  uuid CONSTRAINT hold_account_exists REFERENCES account,
    amount      bigint,
    merchant_id uuid,
    reference   text NOT NULL,
    state       text NOT NULL,
    captured    bigint,
    expires_at  timestamptz,
    created_at  timestamptz NOT NULL,
    settled_at  timestamptz,
    CONSTRAINT hold_state_known CHECK (state IN ('active', 'captured', 'released', 'expired')),
    CONSTRAINT hold_complete_or_tombstone CHECK (
        num_nonnulls(account_id, amount, expires_at) = 3
        OR num_nonnulls(account_id, amount, expires_at) = 0 AND state = 'released'),
    CONSTRAINT hold_amount_positive CHECK (amount BETWEEN 1 AND 1000000000),
    CONSTRAINT hold_captures_at_most_itself CHECK (captured BETWEEN 1 AND amount),
    CONSTRAINT hold_captured_has_amount CHECK ((state = 'captured') = (captured IS NOT NULL)),
    CONSTRAINT hold_settled_has_time CHECK ((state = 'active') = (settled_at IS NULL)),
    CONSTRAINT hold_reference_length CHECK (char_length(reference) <= 200)
);
CREATE INDEX hold_of_account ON hold (account_id);
CREATE INDEX hold_expiring ON hold (expires_at) WHERE state = 'active';

-- A hold is settled once, whoever asks.
CREATE FUNCTION hold_settled_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'hold % is settled', OLD.hold_id
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'hold_settled_once', TABLE = 'hold';
END $$;
CREATE TRIGGER hold_settled_once BEFORE UPDATE ON hold
    FOR EACH ROW WHEN (OLD.state <> 'active') EXECUTE FUNCTION hold_settled_once();

ALTER TABLE transfer
    ADD COLUMN reverses uuid CONSTRAINT transfer_reverses_exists REFERENCES transfer,
    ADD COLUMN hold_id uuid CONSTRAINT transfer_hold_exists REFERENCES hold,
    ADD CONSTRAINT transfer_reverse_names_transfer CHECK ((kind = 'reverse') = (reverses IS NOT NULL)),
    ADD CONSTRAINT transfer_hold_named CHECK
        ((kind IN ('hold', 'capture', 'release', 'expire')) = (hold_id IS NOT NULL));
-- Partial, so that a transfer that reverses nothing, as nearly all, pays nothing for it.
CREATE UNIQUE INDEX transfer_reversed_once ON transfer (reverses) WHERE reverses IS NOT NULL;

GRANT SELECT, INSERT ON hold TO points_app;
GRANT UPDATE (state, captured, settled_at) ON hold TO points_app;
