DROP TABLE known_device;
ALTER TABLE mail_code DROP COLUMN requester;
