ALTER TABLE login_attempt
    DROP CONSTRAINT login_attempt_allows_some,
    DROP CONSTRAINT login_attempt_level_bounded,
    DROP COLUMN allowed,
    DROP COLUMN level;
