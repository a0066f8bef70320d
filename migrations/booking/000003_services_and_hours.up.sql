-- What a merchant offers, who gives it, and when. `merchant_id` leads every key here too.

-- Both have a default, for the version of the service that runs beside this migration.
ALTER TABLE merchant
    ADD COLUMN currency text NOT NULL DEFAULT 'JPY', -- ISO 4217; prices are in its minor unit
    ADD COLUMN cancellation_notice_minutes integer NOT NULL DEFAULT 0, -- how long before the start a member may cancel
    ADD CONSTRAINT merchant_currency_is_iso CHECK (currency ~ '^[A-Z]{3}$'),
    ADD CONSTRAINT merchant_cancellation_notice_range
        CHECK (cancellation_notice_minutes BETWEEN 0 AND 43200); -- 30 days

CREATE TABLE service (
    merchant_id      uuid        NOT NULL,
    service_id       uuid        NOT NULL,
    name             text        NOT NULL,
    duration_minutes integer     NOT NULL,
    buffer_minutes   integer     NOT NULL, -- the staff's own time afterwards
    price_minor      bigint      NOT NULL, -- in the minor unit of the merchant's currency
    created_at       timestamptz NOT NULL,
    CONSTRAINT service_pk PRIMARY KEY (merchant_id, service_id),
    CONSTRAINT service_merchant_exists FOREIGN KEY (merchant_id) REFERENCES merchant,
    CONSTRAINT service_name_length CHECK (char_length(name) BETWEEN 1 AND 100),
    CONSTRAINT service_price_range CHECK (price_minor BETWEEN 0 AND 1000000000),
    -- Together they are what a booking occupies: `booking_interval_length`.
    CONSTRAINT service_length
        CHECK (duration_minutes >= 5 AND buffer_minutes >= 0 AND duration_minutes + buffer_minutes <= 720)
);

CREATE TABLE staff_service (
    merchant_id uuid NOT NULL,
    staff_id    uuid NOT NULL,
    service_id  uuid NOT NULL,
    CONSTRAINT staff_service_pk PRIMARY KEY (merchant_id, service_id, staff_id),
    CONSTRAINT staff_service_staff_exists FOREIGN KEY (merchant_id, staff_id) REFERENCES staff,
    CONSTRAINT staff_service_service_exists FOREIGN KEY (merchant_id, service_id) REFERENCES service
);

-- A week of the merchant's wall clock. A break is the time between two rows of a day; a night shift
-- is a row up to 24:00 and one from 00:00.
CREATE TABLE working_hours (
    merchant_id   uuid     NOT NULL,
    staff_id      uuid     NOT NULL,
    weekday       smallint NOT NULL, -- ISO: 1 is Monday
    opens_minute  integer  NOT NULL, -- of the local day
    closes_minute integer  NOT NULL,
    CONSTRAINT working_hours_pk PRIMARY KEY (merchant_id, staff_id, weekday, opens_minute),
    CONSTRAINT working_hours_staff_exists FOREIGN KEY (merchant_id, staff_id) REFERENCES staff,
    CONSTRAINT working_hours_weekday_is_iso CHECK (weekday BETWEEN 1 AND 7),
    CONSTRAINT working_hours_within_a_day
        CHECK (0 <= opens_minute AND opens_minute < closes_minute AND closes_minute <= 1440),
    CONSTRAINT working_hours_do_not_overlap EXCLUDE USING gist
        (merchant_id WITH =, staff_id WITH =, weekday WITH =,
         int4range(opens_minute, closes_minute) WITH &&)
);

-- When nobody, or one person, can be booked: a holiday, time off. They may overlap.
CREATE TABLE closure (
    merchant_id uuid        NOT NULL,
    closure_id  uuid        NOT NULL,
    staff_id    uuid,                 -- NULL: the whole merchant is closed
    during      tstzrange   NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT closure_pk PRIMARY KEY (merchant_id, closure_id),
    CONSTRAINT closure_merchant_exists FOREIGN KEY (merchant_id) REFERENCES merchant,
    CONSTRAINT closure_staff_exists FOREIGN KEY (merchant_id, staff_id) REFERENCES staff,
    CONSTRAINT closure_interval_whole CHECK (
        NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during)
        AND lower(during) IS NOT NULL AND isfinite(lower(during))
        AND upper(during) IS NOT NULL AND isfinite(upper(during))
    ),
    CONSTRAINT closure_length CHECK (upper(during) - lower(during) <= interval '400 days')
);
CREATE INDEX closure_during ON closure USING gist (merchant_id, during);

GRANT SELECT, INSERT ON service TO booking_app;
GRANT SELECT, INSERT, DELETE ON staff_service, working_hours, closure TO booking_app;
