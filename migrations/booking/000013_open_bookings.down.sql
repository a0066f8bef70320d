DROP FUNCTION open_bookings;
