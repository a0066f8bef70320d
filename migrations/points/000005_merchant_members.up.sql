-- Who may act for a merchant. Booking knows it and tells us; this is our copy, so that an earning asks nobody else.

CREATE TABLE merchant_member (
    merchant_id uuid        NOT NULL,
    member_id   uuid        NOT NULL,
    role        text        NOT NULL,
    since       timestamptz NOT NULL DEFAULT now(), -- when we heard of it
    CONSTRAINT merchant_member_pk PRIMARY KEY (merchant_id, member_id, role),
    CONSTRAINT merchant_member_role_known CHECK (role IN ('owner', 'staff'))
);

GRANT SELECT, INSERT, DELETE ON merchant_member TO points_app;
