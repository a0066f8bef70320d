-- Fails where such transfers exist: a ledger is not rewritten to suit an older program.
DROP INDEX transfer_reversed_once;
ALTER TABLE transfer
    DROP CONSTRAINT transfer_hold_named,
    DROP CONSTRAINT transfer_reverse_names_transfer,
    DROP COLUMN hold_id,
    DROP COLUMN reverses;
DROP TABLE hold;
DROP FUNCTION hold_settled_once();
ALTER TABLE entry
    DROP CONSTRAINT entry_system_account_known,
    ADD CONSTRAINT entry_system_account_known CHECK (system_account IN ('issuance'));
ALTER TABLE transfer
    DROP CONSTRAINT transfer_kind_known,
    ADD CONSTRAINT transfer_kind_known CHECK (kind IN ('earn'));
