-- Points is told who may act for a merchant: its owner, and staff who sign in.

-- When the owner was told of. Of merchants from before, and of those that the version before registers while it still
-- runs beside this migration, a job tells.
ALTER TABLE merchant ADD COLUMN told_at timestamptz;
CREATE INDEX merchant_untold ON merchant (merchant_id) WHERE told_at IS NULL;

-- The member that a person who can be booked signs in as. Once in each merchant.
ALTER TABLE staff ADD COLUMN member_id uuid;
CREATE UNIQUE INDEX staff_one_per_member ON staff (merchant_id, member_id) WHERE member_id IS NOT NULL;

GRANT UPDATE (told_at) ON merchant TO booking_app;
GRANT UPDATE (member_id) ON staff TO booking_app;
