-- A booking that is paid with points is a saga: what booking asks of points, and how far it is. Advanced
-- only by committed transitions.

ALTER TABLE booking
    ADD COLUMN points_paid bigint NOT NULL DEFAULT 0, -- each pays one minor unit of the price
    ADD CONSTRAINT booking_points_paid_range CHECK (points_paid = 0 OR points_paid BETWEEN 1 AND price_minor);
GRANT UPDATE (points_paid) ON booking TO booking_app;

-- No foreign key to the booking: the archive takes bookings away, and this stays as the record of what
-- was asked of points.
CREATE TABLE saga (
    saga_id            uuid        NOT NULL, -- also the id of the hold in points
    merchant_id        uuid        NOT NULL,
    booking_id         uuid        NOT NULL,
    member_id          uuid        NOT NULL,
    points             bigint      NOT NULL,
    state              text        NOT NULL,
    undo               boolean     NOT NULL DEFAULT false, -- cancelled while the capture was on its way
    transfer_id        uuid,                 -- of the capture: what a reversal takes
    failure            text,                 -- why it went back
    attempts           integer     NOT NULL DEFAULT 0, -- of the current step, without success
    last_error         text,
    next_attempt_at    timestamptz NOT NULL,
    open_since         timestamptz,          -- NULL: nothing is left to do
    needs_attention_at timestamptz,          -- since when a person should look
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    CONSTRAINT saga_pk PRIMARY KEY (saga_id, merchant_id),
    -- A booking is paid once: a saga that fails ends its booking.
    CONSTRAINT saga_one_per_booking UNIQUE (booking_id, merchant_id),
    CONSTRAINT saga_points_positive CHECK (points BETWEEN 1 AND 1000000000),
    CONSTRAINT saga_state_known CHECK (state IN ('holding', 'capturing', 'captured', 'releasing',
                                                 'released', 'reversing', 'reversed')),
    CONSTRAINT saga_open_until_the_end
        CHECK ((open_since IS NULL) = (state IN ('captured', 'released', 'reversed'))),
    CONSTRAINT saga_attention_while_open CHECK (needs_attention_at IS NULL OR open_since IS NOT NULL),
    CONSTRAINT saga_captured_by_a_transfer
        CHECK (state NOT IN ('captured', 'reversing', 'reversed') OR transfer_id IS NOT NULL)
);
CREATE INDEX saga_due ON saga (next_attempt_at) WHERE open_since IS NOT NULL;

-- What happened, in order. The same thing again is counted, so that a long outage is one row.
CREATE TABLE saga_step (
    merchant_id uuid        NOT NULL,
    saga_id     uuid        NOT NULL,
    position    bigint      GENERATED ALWAYS AS IDENTITY,
    step        text        NOT NULL,
    outcome     text        NOT NULL, -- what points said
    state       text        NOT NULL, -- of the saga afterwards
    times       integer     NOT NULL DEFAULT 1,
    first_at    timestamptz NOT NULL,
    last_at     timestamptz NOT NULL,
    CONSTRAINT saga_step_pk PRIMARY KEY (merchant_id, saga_id, step, outcome, state),
    CONSTRAINT saga_step_saga_exists FOREIGN KEY (saga_id, merchant_id) REFERENCES saga,
    CONSTRAINT saga_step_known CHECK (step IN ('hold', 'capture', 'release', 'reverse', 'cancel'))
);

GRANT SELECT, INSERT ON saga, saga_step TO booking_app;
GRANT UPDATE (state, undo, transfer_id, failure, attempts, last_error, next_attempt_at, open_since,
              needs_attention_at, updated_at) ON saga TO booking_app;
GRANT UPDATE (times, last_at) ON saga_step TO booking_app;
