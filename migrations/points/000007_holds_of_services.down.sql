DROP INDEX transfer_captures_once;
ALTER TABLE hold ADD COLUMN by_service boolean NOT NULL DEFAULT false;
ALTER TABLE hold DISABLE TRIGGER hold_settled_once;
UPDATE hold SET by_service = true WHERE placed_by IS NOT NULL AND account_id IS NOT NULL;
ALTER TABLE hold ENABLE TRIGGER hold_settled_once;
ALTER TABLE hold DROP COLUMN placed_by;
