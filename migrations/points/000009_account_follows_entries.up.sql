-- An account is what its entries say, in the database too: nobody changes a balance without an entry for each new
-- version, whose effects add up to the change. An entry comes with its transfer, and never later. All is checked once
-- for each statement, so that a batch pays once.

-- Nobody reads the events of points: they are written no more. Those that are there stay for one release, because
-- replicas of the release before compare them with the ledger.

CREATE FUNCTION account_follows_entries() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT n.account_id INTO wrong
    FROM after n JOIN before o USING (account_id)
    CROSS JOIN LATERAL (
        SELECT count(*) AS entries,
               -- The kind and the sign say which sum an entry changes: `domain::audit` says the same in Rust.
               coalesce(sum(amount) FILTER (WHERE kind IN ('hold', 'release', 'expire')
                                               OR kind = 'capture' AND amount > 0), 0) AS freed,
               coalesce(sum(amount) FILTER (WHERE kind IN ('earn', 'transfer', 'adjust', 'redeem') AND amount > 0
                                               OR kind = 'reverse' AND amount < 0), 0) AS earned,
               coalesce(sum(amount), 0) AS available,
               bool_and(balance = o.earned - o.used - o.held + upto) AS sound
        FROM (SELECT e.amount, e.balance, t.kind, sum(e.amount) OVER (ORDER BY e.account_version) AS upto
              FROM entry e JOIN transfer t ON t.transfer_id = e.transfer_id
              WHERE e.account_id = n.account_id AND e.account_version > o.version
                AND e.account_version <= n.version) AS e
    ) AS e
    WHERE e.entries <> n.version - o.version
       OR e.sound IS NOT TRUE
       OR o.earned + e.earned <> n.earned
       OR o.held - e.freed <> n.held
       OR o.earned - o.used - o.held + e.available <> n.earned - n.used - n.held
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % is not what its entries say', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_follows_entries', TABLE = 'account';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER account_follows_entries AFTER UPDATE ON account
    REFERENCING OLD TABLE AS before NEW TABLE AS after
    FOR EACH STATEMENT EXECUTE FUNCTION account_follows_entries();

-- A new account has nothing yet.
CREATE FUNCTION account_opens_empty() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong uuid;
BEGIN
    SELECT account_id INTO wrong FROM added
    WHERE (earned, used, held, version) IS DISTINCT FROM (0, 0, 0, 1) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % begins with points', wrong
            USING ERRCODE = 'check_violation', CONSTRAINT = 'account_opens_empty', TABLE = 'account';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER account_opens_empty AFTER INSERT ON account
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION account_opens_empty();

-- Each transfer sums to zero, has all its entries from one statement, and takes its accounts along.
CREATE OR REPLACE FUNCTION entry_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT a.transfer_id, a.sum INTO wrong
    FROM (SELECT transfer_id, sum(amount) AS sum, count(*) AS entries FROM added GROUP BY transfer_id) AS a
    WHERE a.sum <> 0
       OR a.entries <> (SELECT count(*) FROM entry e WHERE e.transfer_id = a.transfer_id)
    LIMIT 1;
    IF FOUND AND wrong.sum <> 0 THEN
        RAISE EXCEPTION 'the entries of transfer % do not sum to zero', wrong.transfer_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'transfer_sums_to_zero', TABLE = 'entry';
    ELSIF FOUND THEN
        RAISE EXCEPTION 'transfer % has its entries already', wrong.transfer_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_with_its_transfer', TABLE = 'entry';
    END IF;
    SELECT a.account_id INTO wrong
    FROM (SELECT account_id, max(account_version) AS version FROM added
          WHERE account_id IS NOT NULL GROUP BY account_id) AS a
    WHERE NOT EXISTS (SELECT FROM account c WHERE c.account_id = a.account_id AND c.version = a.version)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'account % does not follow its entry', wrong.account_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'entry_follows_account', TABLE = 'entry';
    END IF;
    RETURN NULL;
END $$;
