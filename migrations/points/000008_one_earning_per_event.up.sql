-- An event earns once, for ever: an idempotency key is forgotten after 72 hours, and an event may be delivered again
-- after a long weekend. Partial, so that an earning without an event pays nothing for it.
ALTER TABLE transfer
    ADD COLUMN event_id uuid,
    ADD CONSTRAINT transfer_event_earns CHECK (event_id IS NULL OR kind = 'earn');
CREATE UNIQUE INDEX transfer_event_once ON transfer (event_id) WHERE event_id IS NOT NULL;
