-- Whoever changes a service says which version they have read.
ALTER TABLE service
    ADD COLUMN version bigint NOT NULL DEFAULT 1,
    ADD CONSTRAINT service_version_positive CHECK (version >= 1);
GRANT UPDATE (version) ON service TO booking_app;
