DROP TABLE security_event;
REVOKE UPDATE (hash, changed_at) ON member_password FROM auth_app;
REVOKE UPDATE (generation, device, rotated_at, idle_expires_at, ended_at, end_reason) ON session FROM auth_app;
DROP INDEX session_ended_at;
ALTER TABLE session
    DROP CONSTRAINT session_ended_for_a_reason,
    DROP CONSTRAINT session_device_length,
    DROP CONSTRAINT session_generation_not_negative,
    DROP COLUMN refresh_salt,
    DROP COLUMN generation,
    DROP COLUMN device,
    DROP COLUMN rotated_at,
    DROP COLUMN idle_expires_at,
    DROP COLUMN ended_at,
    DROP COLUMN end_reason;
