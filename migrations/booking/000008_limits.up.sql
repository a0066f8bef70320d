-- How many slots a member holds at once is limited.
CREATE INDEX booking_held_by_member ON booking (member_id) WHERE status = 'held';

-- What a merchant offers changes; what was booked keeps its price and its length.
GRANT UPDATE (name, duration_minutes, buffer_minutes, price_minor) ON service TO booking_app;
