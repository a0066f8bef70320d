-- A hold knows the service that placed it, and only that service settles it. Booking alone has placed any so far,
-- and all tombstones.
ALTER TABLE hold ADD COLUMN placed_by text
    CONSTRAINT hold_placed_by_length CHECK (char_length(placed_by) BETWEEN 1 AND 255);
ALTER TABLE hold DISABLE TRIGGER hold_settled_once;
UPDATE hold SET placed_by = 'booking' WHERE by_service OR account_id IS NULL;
ALTER TABLE hold ENABLE TRIGGER hold_settled_once;
ALTER TABLE hold
    DROP COLUMN by_service,
    ADD CONSTRAINT hold_tombstone_of_service CHECK (account_id IS NOT NULL OR placed_by IS NOT NULL);

-- A hold is captured once, and its capture is found by it: whoever captures again is told the first answer.
CREATE UNIQUE INDEX transfer_captures_once ON transfer (hold_id) WHERE kind = 'capture';
