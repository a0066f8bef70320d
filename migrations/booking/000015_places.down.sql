DROP INDEX merchant_closed;
UPDATE merchant SET owner_id = former_owner, closed_at = NULL, former_owner = NULL WHERE owner_id IS NULL;
ALTER TABLE merchant
    DROP CONSTRAINT merchant_closed_is_nobodys,
    DROP COLUMN closed_at,
    DROP COLUMN former_owner,
    ALTER COLUMN owner_id SET NOT NULL;
