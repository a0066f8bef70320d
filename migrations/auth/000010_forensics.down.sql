DROP FUNCTION delete_unverified;
DROP FUNCTION forget_networks;
DELETE FROM security_event e
WHERE e.member_id IS NOT NULL AND NOT EXISTS (SELECT FROM member m WHERE m.member_id = e.member_id);
ALTER TABLE security_event
    DROP CONSTRAINT security_event_network_truncated,
    DROP CONSTRAINT security_event_actor_role_known,
    DROP COLUMN network,
    DROP COLUMN client_id,
    DROP COLUMN actor_role,
    DROP COLUMN actor_id,
    ADD CONSTRAINT security_event_member FOREIGN KEY (member_id) REFERENCES member;
ALTER TABLE member DROP COLUMN verify_by;
ALTER TABLE member_password DROP CONSTRAINT member_password_member,
    ADD CONSTRAINT member_password_member FOREIGN KEY (member_id) REFERENCES member;
ALTER TABLE session DROP CONSTRAINT session_member,
    ADD CONSTRAINT session_member FOREIGN KEY (member_id) REFERENCES member;
ALTER TABLE mail_code DROP CONSTRAINT mail_code_member,
    ADD CONSTRAINT mail_code_member FOREIGN KEY (member_id) REFERENCES member;
ALTER TABLE mail_notice DROP CONSTRAINT mail_notice_member,
    ADD CONSTRAINT mail_notice_member FOREIGN KEY (member_id) REFERENCES member;
