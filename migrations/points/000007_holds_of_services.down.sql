DROP INDEX transfer_captures_once;
DROP TRIGGER hold_placed_both_ways ON hold;
DROP FUNCTION hold_placed_both_ways;
ALTER TABLE hold DROP COLUMN placed_by; -- and hold_tombstone_of_service with it
