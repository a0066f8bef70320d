ALTER TABLE hold DROP COLUMN by_service;
