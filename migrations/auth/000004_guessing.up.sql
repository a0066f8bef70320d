-- Locks that grow, and more than one count of guesses per address: for all strangers, for one network,
-- for a device that has signed in before. Each row says how many guesses it allows.
ALTER TABLE login_attempt
    ADD COLUMN allowed integer  NOT NULL DEFAULT 5,
    ADD COLUMN level   smallint NOT NULL DEFAULT 0, -- how many windows before this one were used up
    ADD CONSTRAINT login_attempt_level_bounded CHECK (level BETWEEN 0 AND 6),
    ADD CONSTRAINT login_attempt_allows_some CHECK (allowed > 0);
