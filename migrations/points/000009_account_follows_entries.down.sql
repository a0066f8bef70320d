DROP TRIGGER account_opens_empty ON account;
DROP FUNCTION account_opens_empty;
DROP TRIGGER account_follows_entries ON account;
DROP FUNCTION account_follows_entries;
CREATE OR REPLACE FUNCTION entry_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
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
