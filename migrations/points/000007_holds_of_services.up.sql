-- A hold knows the service that placed it, and only that service settles it. Booking alone has placed any so far,
-- and all tombstones.
ALTER TABLE hold ADD COLUMN placed_by text
    CONSTRAINT hold_placed_by_length CHECK (char_length(placed_by) BETWEEN 1 AND 255);
ALTER TABLE hold DISABLE TRIGGER hold_settled_once;
UPDATE hold SET placed_by = 'booking' WHERE by_service OR account_id IS NULL;
ALTER TABLE hold ENABLE TRIGGER hold_settled_once;
ALTER TABLE hold ADD CONSTRAINT hold_tombstone_of_service CHECK (account_id IS NOT NULL OR placed_by IS NOT NULL);

-- Replicas of the release before read and write `by_service` while they are replaced: it stays for them, and goes
-- with this trigger one release later. Their holds are booking's; ours are a service's to them.
CREATE FUNCTION hold_placed_both_ways() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.placed_by IS NULL AND (NEW.by_service OR NEW.account_id IS NULL) THEN
        NEW.placed_by := 'booking';
    END IF;
    NEW.by_service := NEW.placed_by IS NOT NULL AND NEW.account_id IS NOT NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER hold_placed_both_ways BEFORE INSERT ON hold
    FOR EACH ROW EXECUTE FUNCTION hold_placed_both_ways();

-- A hold is captured once, and its capture is found by it: whoever captures again is told the first answer.
CREATE UNIQUE INDEX transfer_captures_once ON transfer (hold_id) WHERE kind = 'capture';
