DROP TABLE entry;
DROP TABLE transfer;
DROP TABLE account;
DROP FUNCTION entry_balanced();
DROP FUNCTION ledger_append_only();
