DROP INDEX booking_confirmed_start;
DROP TABLE notification_logs, line_contact, merchant_line;
