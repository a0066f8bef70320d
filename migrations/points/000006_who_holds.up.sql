-- A hold that another service placed is settled by that service: its member could otherwise free points that a
-- booking is about to take, and have the booking all the same. Holds from before count as the member's; none lasts
-- longer than 31 days.
ALTER TABLE hold ADD COLUMN by_service boolean NOT NULL DEFAULT false;
