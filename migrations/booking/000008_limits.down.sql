REVOKE UPDATE (name, duration_minutes, buffer_minutes, price_minor) ON service FROM booking_app;
DROP INDEX booking_held_by_member;
