-- `merchant_id` is in every key and constraint, so that the tables can be distributed by it.

-- Equality on uuid inside a GiST index. A trusted extension since PostgreSQL 13: the owner of the
-- database may create it.
CREATE EXTENSION IF NOT EXISTS btree_gist;

CREATE TABLE merchant (
    merchant_id uuid        NOT NULL,
    owner_id    uuid        NOT NULL, -- the member who runs it
    name        text        NOT NULL,
    time_zone   text        NOT NULL, -- IANA name; the service knows which exist
    created_at  timestamptz NOT NULL,
    CONSTRAINT merchant_pk PRIMARY KEY (merchant_id),
    CONSTRAINT merchant_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT merchant_time_zone_length CHECK (char_length(time_zone) BETWEEN 1 AND 64)
);

CREATE TABLE staff (
    merchant_id uuid        NOT NULL,
    staff_id    uuid        NOT NULL,
    name        text        NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT staff_pk PRIMARY KEY (merchant_id, staff_id),
    CONSTRAINT staff_merchant_exists FOREIGN KEY (merchant_id) REFERENCES merchant,
    CONSTRAINT staff_name_length CHECK (char_length(name) BETWEEN 1 AND 100)
);

CREATE TABLE booking (
    booking_id  uuid        NOT NULL,
    merchant_id uuid        NOT NULL,
    staff_id    uuid        NOT NULL,
    member_id   uuid        NOT NULL,
    during      tstzrange   NOT NULL,
    status      text        NOT NULL,
    price_minor bigint      NOT NULL, -- in the minor unit of the merchant's currency
    version     bigint      NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    -- The booking comes first: a request names the booking alone.
    CONSTRAINT booking_pk PRIMARY KEY (booking_id, merchant_id),
    CONSTRAINT booking_staff_exists FOREIGN KEY (merchant_id, staff_id) REFERENCES staff,
    CONSTRAINT booking_status_known
        CHECK (status IN ('held', 'confirmed', 'completed', 'cancelled', 'no_show')),
    CONSTRAINT booking_price_range CHECK (price_minor BETWEEN 0 AND 1000000000),
    CONSTRAINT booking_version_positive CHECK (version >= 1),

    -- An exclusion constraint alone has holes: an empty range overlaps nothing, an unbounded one
    -- blocks a whole calendar, and `[]` makes back-to-back bookings collide. Each rule lets the cases
    -- of the others pass, so that the name says what was wrong.
    CONSTRAINT booking_interval_not_empty CHECK (NOT isempty(during)),
    CONSTRAINT booking_interval_finite CHECK (
        isempty(during)
        OR (lower(during) IS NOT NULL AND isfinite(lower(during))
            AND upper(during) IS NOT NULL AND isfinite(upper(during)))
    ),
    CONSTRAINT booking_interval_half_open CHECK (
        isempty(during) OR lower_inf(during) OR upper_inf(during)
        OR (lower_inc(during) AND NOT upper_inc(during))
    ),
    CONSTRAINT booking_interval_length
        CHECK (upper(during) - lower(during) BETWEEN interval '5 minutes' AND interval '12 hours'),

    -- One person is in one place. Every state that holds the slot; `cancelled` and `no_show` free it.
    CONSTRAINT no_overlap_bookings EXCLUDE USING gist
        (merchant_id WITH =, staff_id WITH =, during WITH &&)
        WHERE (status IN ('held', 'confirmed', 'completed'))
);

-- A member's own list, by appointment time.
CREATE INDEX booking_of_member ON booking (member_id, lower(during) DESC, booking_id DESC);

GRANT SELECT, INSERT ON merchant, staff TO booking_app;
GRANT SELECT, INSERT, UPDATE (status, version, updated_at) ON booking TO booking_app;
