-- An operator closes a merchant, or hands it to another member. A closed merchant has no owner, so that every
-- check of ownership fails by itself; handing it over opens it again.
ALTER TABLE merchant
    ALTER COLUMN owner_id DROP NOT NULL,
    ADD COLUMN closed_at    timestamptz,
    ADD COLUMN former_owner uuid,        -- of a closed one
    ADD CONSTRAINT merchant_closed_is_nobodys CHECK (
        (owner_id IS NULL) = (closed_at IS NOT NULL) AND (owner_id IS NULL) = (former_owner IS NOT NULL)
    );
GRANT UPDATE (owner_id, closed_at, former_owner) ON merchant TO booking_app;

-- What the job that empties the calendars of closed merchants looks for.
CREATE INDEX merchant_closed ON merchant (closed_at) WHERE owner_id IS NULL;
