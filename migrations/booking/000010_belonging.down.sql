REVOKE UPDATE (told_at) ON merchant FROM booking_app;
REVOKE UPDATE (member_id) ON staff FROM booking_app;
ALTER TABLE staff DROP COLUMN member_id;
ALTER TABLE merchant DROP COLUMN told_at;
