-- The ledger: an append-only double-entry journal, and beside it each member's balance,
-- materialized and guarded. A bug in the service must not be able to mint points.

CREATE TABLE account (
    account_id uuid NOT NULL CONSTRAINT account_pk PRIMARY KEY,
    member_id  uuid NOT NULL CONSTRAINT account_one_per_member UNIQUE,
    -- Points ever credited, ever spent, and promised to a hold right now.
    earned     bigint NOT NULL DEFAULT 0,
    used       bigint NOT NULL DEFAULT 0,
    held       bigint NOT NULL DEFAULT 0,
    -- Grows by one with each entry of the account; also the ETag.
    version    bigint NOT NULL DEFAULT 1,
    opened_at  timestamptz NOT NULL,
    -- 2^53 - 1: beyond it, a JSON client that reads numbers as doubles would see another balance.
    CONSTRAINT account_earned_within_limit CHECK (earned BETWEEN 0 AND 9007199254740991),
    CONSTRAINT account_used_not_negative CHECK (used >= 0),
    CONSTRAINT account_held_not_negative CHECK (held >= 0),
    -- Written so that it cannot overflow.
    CONSTRAINT account_spends_only_what_it_earned CHECK (used <= earned AND held <= earned - used),
    CONSTRAINT account_version_positive CHECK (version >= 1)
) WITH (fillfactor = 70); -- room on the page keeps balance updates HOT

-- One movement of points: why, for whom, when. Its entries say from where to where.
CREATE TABLE transfer (
    transfer_id uuid NOT NULL CONSTRAINT transfer_pk PRIMARY KEY,
    kind        text NOT NULL,
    -- What it was for, such as `booking:<id>`.
    reference   text NOT NULL,
    merchant_id uuid,
    occurred_at timestamptz NOT NULL,
    CONSTRAINT transfer_kind_known CHECK (kind IN ('earn')),
    CONSTRAINT transfer_reference_length CHECK (char_length(reference) <= 200)
);

-- One side of a transfer: a member's account, or an account of the system. System accounts have no
-- materialized balance, because every transfer would queue for that one row.
CREATE TABLE entry (
    entry_id        uuid NOT NULL CONSTRAINT entry_pk PRIMARY KEY,
    transfer_id     uuid NOT NULL CONSTRAINT entry_transfer_exists REFERENCES transfer,
    account_id      uuid CONSTRAINT entry_account_exists REFERENCES account,
    system_account  text,
    amount          bigint NOT NULL,
    -- The account's version after this entry: its place in the account's history, without gaps.
    account_version bigint,
    -- What the account could spend after this entry.
    balance         bigint,
    CONSTRAINT entry_amount_not_zero CHECK (amount <> 0),
    CONSTRAINT entry_balance_not_negative CHECK (balance >= 0),
    CONSTRAINT entry_system_account_known CHECK (system_account IN ('issuance')),
    CONSTRAINT entry_one_side CHECK (num_nonnulls(account_id, system_account) = 1),
    CONSTRAINT entry_member_side_complete CHECK (num_nonnulls(account_id, account_version, balance) IN (0, 3)),
    CONSTRAINT entry_place_in_history UNIQUE (account_id, account_version)
);
CREATE INDEX entry_of_transfer ON entry (transfer_id);

-- Every transfer sums to zero. Checked per statement and not per row, so that a batch pays once:
-- whoever writes a transfer writes all its entries in one statement.
CREATE FUNCTION entry_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    unbalanced uuid;
BEGIN
    SELECT transfer_id INTO unbalanced FROM added GROUP BY transfer_id HAVING sum(amount) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the entries of transfer % do not sum to zero', unbalanced
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transfer_sums_to_zero', TABLE = 'entry';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER entry_balanced AFTER INSERT ON entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION entry_balanced();

-- The journal is append-only for everybody, its owner included. A mistake is corrected by a new transfer.
CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % of % refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', CONSTRAINT = 'ledger_append_only', TABLE = TG_TABLE_NAME;
END $$;
CREATE TRIGGER transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_append_only();

GRANT SELECT, INSERT ON account, transfer, entry TO points_app;
-- Who owns an account never changes.
GRANT UPDATE (earned, used, held, version) ON account TO points_app;
