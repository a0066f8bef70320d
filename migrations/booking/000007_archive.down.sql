DROP FUNCTION archive_bookings;
DROP INDEX booking_completed_end;
-- Not the table: it may be all that is left of these bookings.
