DROP INDEX booking_calendar;
