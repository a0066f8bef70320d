-- The service that a session was opened for. NULL: for all of them, and then without the role of an operator.
ALTER TABLE session ADD COLUMN audience text
    CONSTRAINT session_audience_known CHECK (audience IN ('auth', 'points', 'booking', 'incidents'));
