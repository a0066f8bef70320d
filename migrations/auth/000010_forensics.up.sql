-- Investigations need the actor, the role they acted in, and the network they came from.
ALTER TABLE security_event
    ADD COLUMN actor_id   uuid,                            -- the member or operator who asked
    ADD COLUMN actor_role text NOT NULL DEFAULT 'unknown', -- of events of the version before
    ADD COLUMN client_id  text,                            -- the service, when one did it or it was done to one
    ADD COLUMN network    cidr,                            -- /24 or /64 that a request came from, for 90 days
    ADD CONSTRAINT security_event_actor_role_known CHECK (
        actor_role IN ('unknown', 'stranger', 'member', 'operator', 'service', 'command_line', 'auth')
    ),
    ADD CONSTRAINT security_event_network_truncated CHECK (
        network IS NULL OR masklen(network) = CASE family(network) WHEN 4 THEN 24 ELSE 64 END
    );
CREATE INDEX security_event_network ON security_event (occurred_at) WHERE network IS NOT NULL;

-- A function of the owner, because the service itself rewrites no event.
CREATE FUNCTION forget_networks() RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH forgotten AS (
        UPDATE security_event SET network = NULL
        WHERE network IS NOT NULL AND occurred_at < now() - interval '90 days'
        RETURNING 1
    )
    SELECT count(*) FROM forgotten
$$;
REVOKE EXECUTE ON FUNCTION forget_networks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_networks TO auth_app;

-- An account that nobody verifies and nobody ever uses is deleted. NULL: never, as for all that exist already.
ALTER TABLE member ADD COLUMN verify_by timestamptz;
ALTER TABLE member ALTER COLUMN verify_by SET DEFAULT now() + interval '30 days';
CREATE INDEX member_unverified ON member (verify_by) WHERE verified_at IS NULL;
-- Events outlive the member that they are about.
ALTER TABLE security_event DROP CONSTRAINT security_event_member;
ALTER TABLE member_password DROP CONSTRAINT member_password_member,
    ADD CONSTRAINT member_password_member FOREIGN KEY (member_id) REFERENCES member ON DELETE CASCADE;
ALTER TABLE session DROP CONSTRAINT session_member,
    ADD CONSTRAINT session_member FOREIGN KEY (member_id) REFERENCES member ON DELETE CASCADE;
ALTER TABLE mail_code DROP CONSTRAINT mail_code_member,
    ADD CONSTRAINT mail_code_member FOREIGN KEY (member_id) REFERENCES member ON DELETE CASCADE;
ALTER TABLE mail_notice DROP CONSTRAINT mail_notice_member,
    ADD CONSTRAINT mail_notice_member FOREIGN KEY (member_id) REFERENCES member ON DELETE CASCADE;

-- Deletes some and says how many. A function of the owner, because the service itself may delete no member. Nobody
-- can sign in to an unused account after `verify_by`; the hour leaves time to logins that began before.
CREATE FUNCTION delete_unverified(most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    WITH overdue AS (
        SELECT member_id FROM member m
        WHERE verified_at IS NULL AND verify_by < now() - interval '1 hour'
          AND NOT EXISTS (SELECT FROM member_role r WHERE r.member_id = m.member_id)
          AND NOT EXISTS (SELECT FROM session s WHERE s.member_id = m.member_id)
          AND NOT EXISTS (SELECT FROM security_event e
                          WHERE e.member_id = m.member_id AND e.kind = 'signed_in')
        ORDER BY verify_by LIMIT most FOR UPDATE SKIP LOCKED
    ), deleted AS (
        DELETE FROM member USING overdue WHERE member.member_id = overdue.member_id RETURNING 1
    )
    SELECT count(*) FROM deleted
$$;
REVOKE EXECUTE ON FUNCTION delete_unverified FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_unverified TO auth_app;
