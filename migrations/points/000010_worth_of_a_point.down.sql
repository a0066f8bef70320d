ALTER TABLE hold DROP COLUMN currency, DROP COLUMN value_minor;
DROP TABLE issuance, issuance_limit, tender_value;
